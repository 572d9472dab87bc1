"""Activation functions and normalisations on arrays, float32 in, float32 out."""

from __future__ import annotations

import functools
import math

import numpy as np

from untracr.network.architecture import Activation, LayerNorm, Normalisation
from untracr.network.network import Array, Norm

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)


def activated(activation: Activation, x: Array) -> Array:
    """The activation of each number of an array of any shape."""
    with np.errstate(over="ignore"):  # an infinite power or square has the right limit below
        match activation:
            case Activation.RELU:
                return np.maximum(x, x.dtype.type(0))
            case Activation.GELU:
                return _gelu_by_erf(x) if x.dtype == np.float64 else _gelu_fitted(x)
            case Activation.GELU_TANH:
                # 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), u = sqrt(2/pi) (x + 0.044715 x^3)
                exponent = x * x
                exponent *= -2 * 0.044715 * _SQRT_2_OVER_PI
                exponent -= 2 * _SQRT_2_OVER_PI
                exponent *= x
                return _divided_by_1_and_exp(x, exponent)
            case Activation.SILU:
                return _divided_by_1_and_exp(x, -x)


def _divided_by_1_and_exp(x: Array, exponent: Array) -> Array:
    """x / (1 + exp(exponent)), in the exponent's array."""
    np.exp(exponent, out=exponent)
    exponent += 1
    return np.divide(x, exponent, out=exponent)


def _gelu_by_erf(x: Array) -> Array:
    """x Phi(x) = 0.5 x (1 + erf(x / sqrt(2)))."""
    from scipy.special import erf  # loaded only by networks that need it: 0.1 s

    result: Array = erf(x * _SQRT_HALF)
    result += 1
    result *= x
    result *= 0.5
    return result


def _gelu_fitted(x: Array) -> Array:
    """x Phi(x) = x / (1 + exp(-x q(x^2))) for single precision, five times as fast as by erf."""
    square = np.minimum(x * x, x.dtype.type(_FITTED**2))  # beyond, q is constant
    highest, *coefficients = (x.dtype.type(-c) for c in reversed(_log_odds()))
    exponent: Array = np.full_like(x, highest)
    for coefficient in coefficients:
        exponent *= square
        exponent += coefficient
    exponent *= x
    return _divided_by_1_and_exp(x, exponent)


_FITTED, _DEGREE = 6.0, 8
"""Up to which |x| Phi is fitted, beyond which x Phi(x) is x or 0 to 1e-8; and the degree in x^2."""


@functools.cache
def _log_odds() -> tuple[float, ...]:
    """Coefficients in x^2 of log(Phi(x) / Phi(-x)) / x, fitted by weighted least squares.

    The weight is what an error costs, d(x Phi)/dq = x^2 Phi(x) Phi(-x), relative to x below 1.
    What comes of it is x Phi(x) to 2e-7 max(1, |x|), float32's rounding.
    """
    from scipy.special import log_ndtr, ndtr

    x = _FITTED * (1 + np.cos(np.pi * (np.arange(2000) + 0.5) / 2000)) / 2
    weight = x * np.maximum(x, 1) * ndtr(x) * ndtr(-x)
    target = (log_ndtr(x) - log_ndtr(-x)) / x
    fit = np.polynomial.Chebyshev.fit(x * x, target, _DEGREE, domain=[0, _FITTED**2], w=weight)
    return tuple(map(float, fit.convert(kind=np.polynomial.Polynomial).coef))


def scale_of(norm: Normalisation, x: Array) -> tuple[Array, Array]:
    """What a normalisation divides: x, centred where it centres, and the divisor [..., 1]."""
    if isinstance(norm, LayerNorm):
        # Over short rows a sum by einsum is several times as fast as `mean`.
        x = x - np.einsum("...d->...", x)[..., None] / x.dtype.type(x.shape[-1])
    # sqrt(mean of squares + epsilon); of a centred x that is its standard deviation.
    mean_square = np.einsum("...d,...d->...", x, x)[..., None] / x.dtype.type(x.shape[-1])
    return x, np.sqrt(mean_square + x.dtype.type(norm.epsilon))


def with_gain(weights: Norm, x: Array) -> Array:
    """Gain and bias [D] of a normalisation applied to what it normalised."""
    if weights.w is None:
        return x if weights.b is None else x + weights.b
    gained = x * weights.w
    if weights.b is not None:
        gained += weights.b
    return gained

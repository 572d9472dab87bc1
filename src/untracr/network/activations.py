"""Activation functions and normalisations on arrays, float32 in, float32 out."""

from __future__ import annotations

import math

import numpy as np

from untracr.network.architecture import Activation, LayerNorm, Normalisation
from untracr.network.network import Array, Norm

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)


def activated(activation: Activation, x: Array) -> Array:
    """The activation of each number of an array of any shape."""
    match activation:
        case Activation.RELU:
            positive: Array = np.maximum(x, 0)
            return positive
        case Activation.GELU:
            return _gelu(x)
        case Activation.GELU_TANH:
            # 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)) with u = sqrt(2/pi) (x + 0.044715 x^3),
            # in one array of its own.
            inner: Array = x * x
            inner *= -2 * 0.044715 * _SQRT_2_OVER_PI
            inner -= 2 * _SQRT_2_OVER_PI
            inner *= x
            return _divided_by_1_and_exp(x, inner)
        case Activation.SILU:
            return _divided_by_1_and_exp(x, -x)


def _divided_by_1_and_exp(x: Array, exponent: Array) -> Array:
    """x / (1 + exp(exponent)), in the exponent's array; 0 where the power is infinite."""
    with np.errstate(over="ignore"):
        np.exp(exponent, out=exponent)
    exponent += 1
    return np.divide(x, exponent, out=exponent)


def _gelu(x: Array) -> Array:
    """x Phi(x) = 0.5 x (1 + erf(x / sqrt(2)))."""
    from scipy.special import erf  # loaded only by networks that need it: 0.1 s

    result: Array = erf(x * x.dtype.type(_SQRT_HALF))
    result += 1
    result *= x
    result *= 0.5
    return result


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

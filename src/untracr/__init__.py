"""untracr: RASP to transformer weights, and weights back to RASP."""

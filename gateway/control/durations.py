"""Durations as people say them. Pure."""


def duration(seconds: float) -> str:
    """Seconds as a text: `0.5 s`, `12 s`, `5 min`, `3 h`, `2 days`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    for unit, length, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"

"""The axis letters of the library and the one check of a tensor's shape.

T time   B batch   I input   H hidden   G gates   L layers   D directions   V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence

from throughtime.errors import ShapeError


def describe_axes(axes: str, sizes: dict[str, int]) -> str:
    """Writes axes with the sizes that are known.

    Example:
        >>> describe_axes("T B I", {"I": 3})
        '[T, B, I=3]'
    """
    return "[" + ", ".join(f"{a}={sizes[a]}" if a in sizes else a for a in axes.split()) + "]"


def check_shape(
    name: str, shape: Sequence[int], axes: str, sizes: dict[str, int], remedy: str
) -> None:
    """Refuses a shape that does not have the named axes or their known sizes.

    Args:
        name: what the tensor is called where the user passed it.
        shape: the shape that came.
        axes: axis letters separated by blanks, such as `"T B I"`.
        sizes: the sizes that are fixed; an axis without one may have any size.
        remedy: what to do, as the end of a sentence.

    Raises:
        ShapeError: the shape differs.

    Example:
        >>> check_shape("x", (5, 3, 2), "T B I", {"I": 4}, "pass 4 features")
        Traceback (most recent call last):
        throughtime.errors.ShapeError: x must be [T, B, I=4], got [5, 3, 2]; pass 4 features.
    """
    letters = axes.split()
    fits = len(letters) == len(shape) and all(
        sizes.get(letter, size) == size for letter, size in zip(letters, shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{name} must be {describe_axes(axes, sizes)}, got {list(shape)}; {remedy}."
        )

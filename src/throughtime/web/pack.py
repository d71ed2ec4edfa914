"""Numbers and words as text that a page can hold and nothing in it can break out of."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_json(data: Any) -> str:
    r"""Dataclasses, arrays and plain values as JSON that is safe inside an HTML script element.

    `<`, `>` and `&` and the two line ends that JavaScript knows and JSON does not are escaped: no
    text can end the element. An array is `{"type", "shape", "base64"}`, little-endian.

    Example:
        >>> to_json({"a": "</script>"})
        '{"a":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(_plain(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(data: Any) -> Any:
    if isinstance(data, np.ndarray):
        return _pack(data)
    if is_dataclass(data):
        return {field.name: _plain(getattr(data, field.name)) for field in fields(data)}
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if isinstance(data, np.generic):
        return _plain(data.item())
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def _pack(array: NDArray[Any]) -> dict[str, Any]:
    """Half precision and bytes stay; others go to single precision, whole ones to 32 bits."""
    kind = "int32" if array.dtype.kind in "iub" else "float32"
    kind = array.dtype.name if array.dtype in (np.float16, np.uint8) else kind
    content = np.ascontiguousarray(array, np.dtype(kind).newbyteorder("<")).tobytes()
    return {
        "type": kind,
        "shape": list(array.shape),
        "base64": base64.b64encode(content).decode("ascii"),
    }

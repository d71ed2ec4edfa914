"""The flight recorder's numbers on TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from throughtime.errors import PackageError


class Board:
    """Writes readings and warnings to a log folder of TensorBoard.

    Args:
        folder: the log folder.
        update: updates made before; what an earlier process wrote beyond them is taken back.

    Raises:
        PackageError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, update: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise PackageError(
                "tensorboard must be installed for a log folder, it is not; install it, or leave "
                "the folder out."
            ) from error
        # One file for each process that went on; TensorBoard shows them as one run.
        self._writer: Any = SummaryWriter(str(folder), purge_step=update + 1)

    def add_reading(self, line: dict[str, Any]) -> None:
        """Puts the numbers of a reading, as it stands in the file, on their curves."""
        update = line["update"]
        for name in ("loss", "gradient_norm"):
            self._add(name, line[name], update)
        for name, ratio in line["update_ratio"].items():
            self._add(f"update_ratio/{name}", ratio, update)
        for layer in line["layers"]:
            where = f"{layer['module'] or 'model'}.{layer['layer']}.{layer['direction']}"
            for name in ("horizon", "spectral_radius", "dead"):
                self._add(f"{name}/{where}", layer[name], update)
            self._add(f"longest_gradient/{where}", layer["largest"]["norm"], update)
            for end in ("low", "high"):
                for gate, share in layer[end].items():
                    self._add(f"saturated_{end}/{where}.{gate}", share, update)

    def add_warning(self, rule: str, text: str, update: int) -> None:
        """Puts a warning among the texts."""
        self._writer.add_text(f"warning/{rule}", text, update)

    def _add(self, name: str, value: float | None, update: int) -> None:
        if value is not None:
            self._writer.add_scalar(name, value, update)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()

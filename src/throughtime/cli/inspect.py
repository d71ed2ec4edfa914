"""`throughtime inspect`: one page about trained runs."""

from __future__ import annotations

from pathlib import Path

from throughtime.cli.output import new_folder, say


def inspect(
    run: Path,
    /,
    *others: Path,
    text: Path | None = None,
    prompt: str | None = None,
    out: Path | None = None,
) -> None:
    """Look into a run: one page with its gradients, gates, units, Jacobians and fixed points.

    Beside them stand the words that speak for an answer (sentiment), where the network looked
    (captioning), labels along time (video). The page is one file that needs no network. Several
    runs of the same task stand side by side in it.

    Args:
        run: Folder of a run.
        others: Folders of more runs to compare it with, four in all.
        text: Text file for a language model to read. [default: its validation text]
        prompt: Let a language model write on from here, and look at it reading that.
        out: The page, a new file. [default: runs/inspect-DATE-TIME.html]
    """
    from throughtime.tasks.inspection import write_report

    out = out or new_folder("inspect").with_suffix(".html")
    write_report([run, *others], out, text, prompt, say)
    print(f"The report: {out} ({out.stat().st_size / 1e6:.1f} MB), to be opened in a browser")

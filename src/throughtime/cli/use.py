"""`throughtime evaluate`, `predict` and `generate`: what a trained run can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from throughtime.cli.recipes import recipe_of, refuse_decoding
from throughtime.errors import OptionError
from throughtime.tasks.decoding_options import Decoding
from throughtime.tasks.video_options import VIDEO

DECODING = Group("How translations and captions are written")
UNTOLD = Decoding()
"""What holds where no flag is given."""


def evaluate(run: Path, /, *paths: str) -> None:
    """Measure how good a run is: on files, or on what it kept for that.

    Args:
        run: Folder of a run.
        paths: Texts for a language model, tables of labelled texts for sentiment, lists of
            pictures with captions for captioning, lists of clips for video, two files or a table
            of pairs for translation; none: what the run
            chose its weights on, and for MNIST the test images.
    """
    recipe_of(run).evaluate(run, paths)


def predict(
    run: Path,
    /,
    *paths: str,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    explain: Annotated[bool, Parameter(negative=())] = False,
    srt: Path | None = None,
    burn: Path | None = None,
    how: Annotated[Decoding, Parameter(name="*", group=DECODING)] = UNTOLD,
) -> None:
    """Say what a run takes each text or frame for, translates it to, or sees in each picture.

    Args:
        run: Folder of a run.
        paths: Files: a text a line, or a table of texts; pictures, or lists of them; clips. None:
            the standard input, a text or the name of a picture a line, or a video whose frames
            are labelled as they come.
        as_json: Print a JSON object a line, with all that is known of the answer.
        explain: Say how many nats each word adds to the answer's log-probability, or draw where
            the network looked for each word of a caption or translation.
        srt: Folder for subtitles of each clip, in SubRip's format (video alone).
        burn: Folder for a copy of each clip with the labels in its pictures (video alone).
        how: How translations and captions are written.
    """
    if srt is not None or burn is not None:
        from throughtime.cli.video import write_labels

        refuse_decoding(VIDEO, how)
        write_labels(run, paths, as_json, srt, burn)
        return
    recipe_of(run).predict(run, paths, as_json, explain, how)


def generate(
    run: Path,
    /,
    *,
    prompt: str | None = None,
    length: int = 500,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    beam: int | None = None,
    block_ngrams: int | None = None,
) -> None:
    """Let a run write, character by character, or look for the likeliest text.

    Args:
        run: Folder of a run.
        prompt: What the text begins with; without it, a new line, or the first known character.
        length: Tokens to write after the prompt; a token is a character unless the run was
            trained on pieces or words.
        temperature: Below 1 plays safe, above 1 takes risks; 0 always takes the likeliest token.
            [default: 0.8]
        top_k: Draw among this many of the likeliest tokens only; without it, among all.
        top_p: Draw among the fewest tokens that hold this share of the probability; without it,
            among all.
        seed: Same seed, same text. [default: 1]
        beam: Look for the likeliest text rather than to draw one, with so many kept side by side.
        block_ngrams: No stretch of so many tokens is written twice, by a beam.
    """
    from throughtime.tasks.language_sample import search, write

    draws: dict[str, Any] = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "seed": seed,
    }
    draws = {name: value for name, value in draws.items() if value is not None}
    if beam is None and block_ngrams is not None:
        raise OptionError(
            f"block_ngrams must come with beam, got {block_ngrams} alone; add --beam."
        )
    if beam is not None:
        if draws:
            raise OptionError(
                f"beam must come without {', '.join(draws)}, got {beam}; a beam draws nothing."
            )
        print(search(run, prompt, length=length, beam=beam, block_ngrams=block_ngrams or 0))
        return
    for piece in write(run, prompt, length=length, **draws):
        print(piece, end="", flush=True)
    print()

"""`throughtime evaluate` and `generate`: what a trained run can do."""

from __future__ import annotations

from pathlib import Path

from throughtime.errors import OptionError
from throughtime.tasks.mnist_options import MNIST


def evaluate(run: Path, /, *paths: str) -> None:
    """Measure how well a run predicts a text, or recognises the test images of MNIST.

    Args:
        run: Folder of a run.
        paths: Text files, folders or globs; none: the validation text of the run.
    """
    from throughtime import record

    if record.read_config(run)["task"] == MNIST:
        return _evaluate_mnist(run, paths)
    from throughtime.tasks import language_model

    found = language_model.evaluate(run, paths)
    print(f"{found.bits_per_character:8.4f}  bits per character")
    print(f"{found.nats_per_character:8.4f}  nats per character")
    print(f"{found.nats_per_token:8.4f}  nats per token")
    print(f"{found.perplexity:8.2f}  perplexity per token")
    print(f"over {found.tokens:,} tokens, {found.characters:,} characters")


def _evaluate_mnist(run: Path, paths: tuple[str, ...]) -> None:
    if paths:
        raise OptionError(
            f"evaluate must get an {MNIST} run alone, got {paths[0]} too; leave it out: "
            "the test images are in the run's own folder of images."
        )
    from throughtime.tasks import mnist

    found = mnist.evaluate(run)
    print(f"{found.share_right:8.2%}  of the test images right")
    print(f"{found.nats_per_image:8.4f}  nats per image")
    print(f"over {found.images:,} images")


def generate(
    run: Path,
    /,
    *,
    prompt: str | None = None,
    length: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 1,
) -> None:
    """Let a run write, character by character.

    Args:
        run: Folder of a run.
        prompt: What the text begins with; without it, a new line, or the first known character.
        length: Tokens to write after the prompt; a token is a character unless the run was
            trained on pieces or words.
        temperature: Below 1 plays safe, above 1 takes risks; 0 always takes the likeliest token.
        top_k: Draw among this many of the likeliest tokens only; without it, among all.
        top_p: Draw among the fewest tokens that hold this share of the probability; without it,
            among all.
        seed: Same seed, same text.
    """
    from throughtime.tasks.language_sample import write

    pieces = write(
        run,
        prompt,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    for piece in pieces:
        print(piece, end="", flush=True)
    print()

"""`throughtime evaluate` and `generate`: what a trained run can do."""

from __future__ import annotations

from pathlib import Path


def evaluate(run: Path, /, *paths: str) -> None:
    """Measure how well a run predicts a text.

    Args:
        run: Folder of a run.
        paths: Text files, folders or globs; none: the validation text of the run.
    """
    from throughtime.tasks import language_model

    found = language_model.evaluate(run, paths)
    print(f"{found.bits_per_character:8.4f}  bits per character")
    print(f"{found.nats_per_character:8.4f}  nats per character")
    print(f"{found.nats_per_token:8.4f}  nats per token")
    print(f"{found.perplexity:8.2f}  perplexity per token")
    print(f"over {found.tokens:,} tokens, {found.characters:,} characters")


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

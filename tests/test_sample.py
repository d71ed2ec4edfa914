"""The sampler, against probabilities written down by hand."""

from itertools import islice

import pytest
import torch

from throughtime.decode import choose, distribution, sample, spell
from throughtime.errors import OptionError, RunError

EXACT = {"rtol": 0, "atol": 1e-12}
P = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64)


def echo(tokens, state):
    """Logits that favour the token after the last one, and a count of the tokens read."""
    seen = (0 if state is None else state) + tokens.numel()
    return 3.0 * torch.eye(7)[(tokens + 1) % 7], seen


def take(n, **options):
    generator = torch.Generator().manual_seed(options.pop("seed", 0))
    return list(islice(sample(echo, [2, 3], generator=generator, **options), n))


def test_temperature_zero_takes_the_likeliest():
    assert choose(P.log().expand(3, 4), temperature=0).tolist() == [1, 1, 1]


def test_temperature_one_keeps_the_models_distribution():
    torch.testing.assert_close(distribution(P.log()), P, **EXACT)


def test_temperature_half_squares_the_probabilities():
    squared = P**2 / (P**2).sum()
    torch.testing.assert_close(distribution(P.log(), temperature=0.5), squared, **EXACT)


def test_a_tiny_temperature_is_greedy_and_not_nan():
    expected = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(distribution(P.log(), temperature=1e-300), expected, **EXACT)


def test_top_k_keeps_the_k_likeliest_and_renormalises():
    expected = torch.tensor([0.0, 4 / 7, 0.0, 3 / 7], dtype=torch.float64)
    torch.testing.assert_close(distribution(P.log(), top_k=2), expected, **EXACT)


def test_top_k_keeps_exactly_k_of_equal_logits():
    assert (distribution(torch.zeros(5), top_k=2) > 0).sum() == 2


def test_top_k_beyond_the_vocabulary_keeps_all():
    torch.testing.assert_close(distribution(P.log(), top_k=9), P, **EXACT)


@pytest.mark.parametrize(("top_p", "kept"), [(0.3, 1), (0.5, 2), (0.75, 3), (0.95, 4), (1.0, 4)])
def test_top_p_keeps_the_fewest_tokens_that_hold_the_share(top_p, kept):
    assert (distribution(P.log(), top_p=top_p) > 0).sum() == kept


def test_top_p_counts_the_share_of_what_top_k_left():
    # of the three likeliest (4, 3, 2 ninths), the first two hold 7/9 = 0.78 > 0.7
    expected = torch.tensor([0.0, 4 / 7, 0.0, 3 / 7], dtype=torch.float64)
    torch.testing.assert_close(distribution(P.log(), top_k=3, top_p=0.7), expected, **EXACT)


def test_draws_follow_the_distribution():
    generator = torch.Generator().manual_seed(1)
    draws = choose(P.log().expand(40_000, 4), generator=generator)
    shares = draws.bincount(minlength=4) / len(draws)
    # the standard error of a share is at most 0.0025
    torch.testing.assert_close(shares.double(), P, rtol=0, atol=0.01)


def test_rows_are_chosen_independently_of_each_other():
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    assert choose(logits, top_k=1).tolist() == [0, 2]


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others():
    assert take(30, seed=5) == take(30, seed=5)
    assert take(30, seed=5) != take(30, seed=6)


def test_the_prompt_is_read_once_and_then_one_token_per_step():
    read = []

    def step(tokens, state):
        read.append(tokens.flatten().tolist())
        return echo(tokens, state)

    assert list(islice(sample(step, [2, 3], temperature=0), 3)) == [4, 5, 6]
    assert read == [[2, 3], [4], [5]]


def test_nothing_is_computed_before_a_token_is_asked_for():
    def refuse(tokens, state):
        raise AssertionError("called too early")

    sample(refuse, [0])


def test_gradients_stay_on_for_the_caller_between_two_tokens():
    next(sample(echo, [0]))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", float("nan")),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(option, value):
    with pytest.raises(OptionError, match=f"^{option} must be .*got"):
        sample(echo, [0], **{option: value})
    with pytest.raises(OptionError, match=f"^{option} must be .*got"):
        choose(torch.zeros(1, 4), **{option: value})


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(odd, temperature):
    with pytest.raises(RunError, match=f"logits must be finite to draw from, got {odd}"):
        choose(torch.tensor([[0.0, odd]]), temperature=temperature)


def test_a_logit_of_minus_infinity_rules_its_token_out():
    assert distribution(torch.tensor([0.0, float("-inf")])).tolist() == [1, 0]


def test_an_empty_prompt_is_refused():
    with pytest.raises(OptionError, match="at least one token"):
        sample(echo, [])


def utf8(ids):
    return bytes(ids).decode(errors="replace")


@pytest.mark.parametrize("text", ["", "plain", "é✓𝄞 at the ends é"])
def test_spelt_pieces_join_to_the_whole_text_and_never_show_half_a_character(text):
    pieces = list(spell(text.encode(), utf8))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_what_stays_unfinished_is_shown_at_the_end():
    assert list(spell(b"a\xc3", utf8)) == ["a", "\ufffd"]


def test_a_piece_is_spelt_before_the_next_token_is_drawn():
    def tokens():
        yield ord("a")
        raise AssertionError("drawn too early")

    assert next(spell(tokens(), utf8)) == "a"

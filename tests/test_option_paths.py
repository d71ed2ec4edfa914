"""Options in the kernels: the numbers and derivatives of the loop, whatever is drawn."""

from functools import partial

import pytest
import torch
from cases import OPTIONS, B, I, T, flat, name_of
from hypothesis import given
from hypothesis import strategies as st
from test_laws import check_law, check_same, on
from torch.func import functional_call

import throughtime as tt
from throughtime import native
from throughtime.layers import run_stack
from throughtime.sequences import WHOLE

COMPILED = [
    case
    for case in OPTIONS
    if case.name != "own-cell" and not callable(case.options.get("nonlinearity"))
]
each_case = pytest.mark.parametrize("case", COMPILED, ids=name_of)


def both_paths(layer, *args, **rows):
    """Results in the kernel and in the loop, with the same draws."""
    results = []
    for path in ("kernel", "loop"):
        torch.manual_seed(5)
        with on(path):
            results.append(flat(layer(*args, **rows)))
    return results


@each_case
def test_the_kernel_takes_every_option_but_one_pair(case):
    layer, x = case.make(), torch.randn(T, B, I, dtype=torch.float64)
    expected = "this cell has no kernel" if case.name == "gru-everything" else None
    assert native.refusal(layer.cells()[0], x) == expected  # LayerNorm and a reset before
    assert native.refusal(layer._cells_for(x, WHOLE)[0], x) == expected


@st.composite
def trainings(draw):
    """A layer in training, with an input and rows."""
    case = draw(st.sampled_from(COMPILED))
    steps, batch = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    options = {
        "input_size": draw(st.integers(1, 5)),
        "hidden_size": draw(st.sampled_from([3, 4, 9, 17, 33])),
        "num_layers": draw(st.integers(1, 2)),
        "bidirectional": draw(st.booleans()),
        "bias": draw(st.booleans()),
    }
    if case.name.startswith("lstm"):
        options["proj_size"] = draw(st.sampled_from([0, 2]))
    layer = case.make(draw(st.integers(0, 99)), **options)
    x = torch.randn(steps, batch, options["input_size"], dtype=torch.float64, requires_grad=True)
    lengths = draw(st.none() | st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
    reset = draw(st.none() | st.just(torch.rand(steps, batch) < 0.3))
    return layer, x, {"lengths": lengths, "reset": reset}


@given(trainings())
def test_kernel_and_loop_agree_on_whatever_is_drawn(training):
    layer, x, rows = training
    ours, theirs = both_paths(layer, x, **rows)
    check_law(ours, theirs, [x, *layer.parameters()])


@each_case
def test_every_derivative_of_an_option_is_the_loop_s(case):
    layer = case.make(hidden_size=3)
    weights = {name: w.detach() for name, w in layer.named_parameters()}
    x, direction = torch.randn(3, 2, I, dtype=torch.float64), torch.randn(3, 2, I).double()

    def loss(x):
        torch.manual_seed(5)
        return functional_call(layer, weights, (x,))[0].sin().sum()

    def derivatives():
        grad = torch.func.grad(loss)
        return [
            grad(x),
            torch.func.jvp(loss, (x,), (direction,))[1],
            torch.func.jacfwd(loss, randomness="same")(x),
            torch.func.jacrev(grad)(x),
            torch.func.jacfwd(grad, randomness="same")(x),  # the Hessian
            torch.func.jvp(grad, (x,), (direction,))[1],
            torch.func.vjp(grad, x)[1](direction)[0],
            torch.func.vmap(grad, randomness="same")(torch.stack([x, 2 * x])),
        ]

    with on("kernel"):
        ours = derivatives()
    with on("loop"):
        theirs = derivatives()
    check_same(ours, theirs)


@each_case
def test_gradients_of_an_option_agree_with_finite_differences(case):
    layer = case.make(hidden_size=3)
    names = [name for name, _ in layer.named_parameters()]
    weights = [w.detach().requires_grad_() for w in layer.parameters()]
    x = torch.randn(2, 2, I, dtype=torch.float64, requires_grad=True)

    def outputs(x, *weights):
        torch.manual_seed(5)
        return tuple(flat(functional_call(layer, dict(zip(names, weights, strict=True)), (x,))))

    assert torch.autograd.gradcheck(outputs, (x, *weights))
    assert torch.autograd.gradgradcheck(outputs, (x, *weights), atol=1e-6)


@each_case
@pytest.mark.usefixtures("fresh_compiler")
def test_an_option_compiles_without_a_graph_break(case):
    layer = case.make().eval()
    x = torch.randn(2, B, I, dtype=torch.float64)
    torch._dynamo.reset()  # or the layers of the cases before count as recompilations
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    check_same(flat(compiled(x)), flat(layer(x)))


@pytest.mark.parametrize("are_directions", [True, False])
def test_cells_with_different_shares_keep_their_own(are_directions, request):
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(2)  # or layers never run at the same time
    cells = [tt.GRU(I, I, zoneout=share, dtype=torch.float64).cells()[0][0] for share in (0.1, 0.6)]
    layers = [cells] if are_directions else [[cell] for cell in cells]
    x = torch.randn(150, 1, I, dtype=torch.float64)
    with torch.no_grad(), on("kernel"):
        ours = run_stack(layers, x, None)[0]
    with torch.no_grad(), on("loop"):
        check_same([ours], [run_stack(layers, x, None)[0]])

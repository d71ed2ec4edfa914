"""The compiled kernels: recurrent cells over a whole sequence, forward and backward.

    T time   B batch   D directions (1 or 2)   H hidden   G gates   S gates saved for backward
    N rows of all steps together: T*B, or the sum of batch_sizes

    cell          G   S   gates, in this order               saved, in this order
    elman_tanh    1   0   hidden                             (y is enough)
    elman_relu    1   0   hidden                             (y is enough)
    lstm          4   4   input, forget, candidate, output   the same, after activation
    gru           3   4   reset, update, candidate           the same, and W_hn h + b_hn

Tensors are passed as addresses (`tensor.data_ptr()`), all of one type (float32, or float64 with
`is_double`), contiguous, on the CPU; 0 stands for an optional tensor that is not there. Nothing
is checked here: the caller checks types, shapes and contiguity. The GIL is released meanwhile.

Rows of a sequence stand step by step. Dense (`batch_sizes` = 0): step t is rows t*B to (t+1)*B.
Packed, like `torch.nn.utils.rnn.PackedSequence`: `batch_sizes` is the address of T int64 numbers
that never increase and start with B; step t has batch_sizes[t] rows. Direction 0 runs forward;
direction 1, if D is 2, starts for every row at that row's own end.
"""

def forward(
    cell: str,
    is_double: bool,
    y: int,
    h_n: int,
    c_n: int,
    c: int,
    gates: int,
    z: int,
    weight_hh: int,
    bias_hh: int,
    h0: int,
    c0: int,
    batch_sizes: int,
    T: int,
    B: int,
    D: int,
    H: int,
    workspace: int,
    threads: int,
) -> None:
    """Runs a cell over a sequence.

    Args:
        cell: name of the cell.
        is_double: whether the numbers are float64.
        y: written: hidden states of all steps, [N, D, H].
        h_n: written: hidden state of every row's last step, [D, B, H].
        c_n: written by the LSTM: cell state of every row's last step, [D, B, H]; else 0.
        c: written by the LSTM for its backward: cell states, [N, D, H]; 0 for inference.
        gates: written for the backward: activated gates, [N, D, S, H]; 0 for inference. The
            LSTM's may be z itself.
        z: input projections W_ih x + b_ih, [N, D, G, H].
        weight_hh: recurrent weights, [D, G*H, H].
        bias_hh: their bias, [D, G*H], or 0.
        h0: hidden state before the first step, [D, B, H].
        c0: the LSTM's cell state before the first step, [D, B, H]; else 0.
        batch_sizes: rows of every step, [T] of int64, or 0 when all steps have B.
        T: number of steps, may be 0.
        B: rows of the first step, may be 0.
        D: number of directions, 1 or 2.
        H: number of hidden units.
        workspace: `workspace_elements(...)` numbers; holds nothing between calls.
        threads: at most so many threads; the result has the same bits for any number.
    """

def backward(
    cell: str,
    is_double: bool,
    dz: int,
    da: int,
    dh0: int,
    dc0: int,
    dy: int,
    dh_n: int,
    dc_n: int,
    y: int,
    h0: int,
    c0: int,
    c: int,
    gates: int,
    weight_hh: int,
    batch_sizes: int,
    T: int,
    B: int,
    D: int,
    H: int,
    workspace: int,
    threads: int,
) -> None:
    """Runs the gradient back through a sequence.

    Gradients of weights are left to the caller: dW_hh is the sum over rows of da times the
    hidden state before, db_hh the sum of da, dW_ih the sum of dz times the input.

    Args:
        cell: name of the cell.
        is_double: whether the numbers are float64.
        dz: written: gradient of z, [N, D, G, H].
        da: written by the GRU: gradient of W_hh h + b_hh, [N, D, G, H], which differs from dz
            in the candidate; 0 for the other cells, where it is dz.
        dh0: written: gradient of h0, [D, B, H].
        dc0: written by the LSTM: gradient of c0, [D, B, H]; else 0.
        dy: gradient of y, [N, D, H], or 0.
        dh_n: gradient of h_n, [D, B, H], or 0.
        dc_n: gradient of c_n, [D, B, H], or 0.
        y: as written by `forward`.
        h0: as given to `forward`.
        c0: as given to `forward`.
        c: as written by `forward`; 0 for cells other than the LSTM.
        gates: as written by `forward`; 0 for Elman cells.
        weight_hh: as given to `forward`.
        batch_sizes: as given to `forward`.
        T: as given to `forward`.
        B: as given to `forward`.
        D: as given to `forward`.
        H: as given to `forward`.
        workspace: `workspace_elements(...)` numbers; holds nothing between calls.
        threads: at most so many threads; the result has the same bits for any number.
    """

def workspace_elements(cell: str, is_double: bool, B: int, D: int, H: int, threads: int) -> int:
    """How many numbers the workspace of `forward` and `backward` holds, for any T.

    Depends on the variant in use; begin the buffer at a multiple of 64 bytes for speed.
    """

def choose_threads(cell: str, B: int, D: int, H: int, most: int) -> int:
    """How many threads are worth starting, from 1 to `most`, by the work of one step."""

def variants() -> list[str]:
    """Names of the instruction sets this processor can run, the fastest first."""

def variant() -> str:
    """Name of the instruction set in use."""

def use_variant(name: str) -> None:
    """Chooses the instruction set of all calls to come; meant for tests.

    Raises:
        ValueError: the name is none of `variants()`.
    """

def tanh(out: int, in_: int, n: int, is_double: bool) -> None:
    """The kernels' tanh of n numbers at `in_`, written to `out`; meant for tests."""

def sigmoid(out: int, in_: int, n: int, is_double: bool) -> None:
    """The kernels' logistic function of n numbers at `in_`, written to `out`; meant for tests."""

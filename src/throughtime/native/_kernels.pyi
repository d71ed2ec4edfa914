"""The compiled kernels: recurrent layers over a whole sequence, forward and backward.

    T time   B batch   D directions (1 or 2)   I inputs   H hidden   G gates   S values saved
    P values of h: H, or fewer where an LSTM projects them
    N places of all steps together: T*B, or the sum of batch_sizes

    cell               G   S   gates, in this order               saved, in this order
    elman_tanh         1   0   hidden                             (y is enough)
    elman_relu         1   0   hidden                             (y is enough)
    lstm               4   4   input, forget, candidate, output   the same, after activation
    gru                3   4   reset, update, candidate           the same, and W_hn h + b_hn
    coupled_lstm       3   3   forget, candidate, output          the same, after activation
    elman              1   1   hidden                             z + a, what g is taken of
    gru_reset_before   3   3   reset, update, candidate           the same, after activation

The last takes its candidate of W_hn (r * h) + b_hn, the GRU of r * (W_hn h + b_hn).

Tensors are passed as addresses (`tensor.data_ptr()`), all of one type (float32, or float64 with
`is_double`), contiguous, on the CPU; 0 stands for an optional tensor that is not there. Nothing
is checked here but counts: the caller checks types, shapes and contiguity, for which
`addresses_of`, `are_dense` and `are_alike` ask the tensors of a call faster than a loop in Python.
The GIL is released meanwhile, and one layer may be called by several threads at once.
"""

from collections.abc import Sequence as Several
from typing import Any

from numpy.typing import NDArray

class Sequence:
    """Which rows a call is about, and where their steps stand.

    Dense, [T, B, ·]: step t of row b stands at place t*B + b; with `batch_first`, [B, T, ·], at
    b*T + t. Row b has lengths[b] steps, in any order, 0 allowed; places behind a row's end are
    neither read nor written. Packed, like `torch.nn.utils.rnn.PackedSequence`: step t has the
    first batch_sizes[t] rows, and the steps follow each other.

    Direction 0 runs forward; direction 1, if D is 2, starts for every row at that row's own end.
    A reset at t makes the row begin afresh between steps t-1 and t, from either side.

    Args:
        T: number of steps, may be 0.
        B: rows of the first step, may be 0.
        batch_first: whether dense rows stand row by row.
        batch_sizes: rows of every step, int64 [T], never increasing; or 0 for dense rows.
        lengths: steps of every dense row, int64 [B]; or 0 when all have T.
        reset: one byte per place, [N], 1 for a reset; or 0 for none.
    """

    def __init__(
        self, T: int, B: int, batch_first: bool, batch_sizes: int, lengths: int, reset: int
    ) -> None: ...

class Layer:
    """The packed weights of one layer, kept from call to call and renewed when they change.

    Whether they changed is told from their bytes at every call, so that no way of changing a
    parameter goes unseen.

    Args:
        cell: name of the cell.
        is_double: whether the numbers are float64.
        D: number of directions, 1 or 2.
        I: number of inputs, may be 0.
        H: number of hidden units.
        nonlinearity: g of the cell elman: tanh, relu, identity, sigmoid, leaky_relu (slope 0.01),
            elu, softplus, silu, gelu, gelu_tanh (its approximation), hardtanh or softsign.
        P: values of h, fewer than H, of an LSTM with a projection; 0: none.

    Raises:
        ValueError: no such cell or nonlinearity.
    """

    def __init__(
        self,
        cell: str,
        is_double: bool,
        D: int,
        I: int,
        H: int,
        nonlinearity: str = "tanh",
        P: int = 0,
    ) -> None: ...
    def forward(
        self,
        weights: Several[int],
        tensors: Several[int],
        sequence: Sequence,
        threads: int,
        keep_h_share: float = 0,
        keep_c_share: float = 0,
    ) -> None:
        """Runs the layer over a sequence.

        Args:
            weights: of each direction weight_ih [G*H, I], weight_hh [G*H, P], bias_ih [G*H],
                bias_hh [G*H], peepholes: [3, H] of an LSTM (of i, f, o), [2, H] of a coupled one
                (f, o), the gains of LayerNorm norm_ih [G*H] and norm_hh [G*H], both or none (and
                none of gru_reset_before), and weight_hr [P, H], an LSTM's projection; all but
                the first two may be 0.
            tensors: written: y [N, D, P], h_n [D, B, P], c_n [D, B, H] (LSTM, else 0); saved for
                the backward pass or 0: c [N, D, H] (LSTM), gates [N, D, S, H]; read: x [N, I];
                h0 [D, B, P], c0 [D, B, H] or 0 for zeros; h_fresh [D, P], c_fresh [D, H], where
                a reset begins, or 0 for zeros; mask [D, B, P], with which the recurrent product
                reads mask * h (of gru_reset_before also mask * r * h), or 0 for ones; keep_h
                [N, D, P], keep_c [N, D, H], zoneout's shares of the states before that stay, or
                0 for the same share everywhere; saved with LayerNorm or 0: normalised
                [N, D, 2, G, H], the products W_ih x and W_hh h of mean 0 and variance 1, and
                scales [N, D, 2], what they were multiplied with.
            sequence: the rows.
            threads: at most so many threads; the result has the same bits for any number.
            keep_h_share: the share where keep_h is 0.
            keep_c_share: the share where keep_c is 0.

        Raises:
            ValueError: another number of addresses.
        """

    def backward(
        self,
        weights: Several[int],
        gradients: Several[int],
        tensors: Several[int],
        sequence: Sequence,
        threads: int,
        sums: int = 0,
        adds: bool = False,
        keep_h_share: float = 0,
        keep_c_share: float = 0,
    ) -> None:
        """Runs the gradient back through a sequence; what it writes is set, not added to.

        The cells elman_tanh and elman_relu tell their slope from y, which zoneout mixes with the
        state before: with it, theirs is the cell elman.

        Args:
            weights: as in `forward`.
            gradients: of the weights, in the same order; written, 0 for absent ones.
            tensors: written: dx [D, N, I], to be summed over D; dh0 [D, B, P], dc0 [D, B, H],
                dh_fresh [D, P], dc_fresh [D, H]; the adjoints of every step dh_all [N, D, P],
                dc_all [N, D, H] (LSTM), dz_all [N, D, G, H], in one piece of memory; each may be
                0; read: dy [N, D, P],
                dc [N, D, H] (LSTM: of c at every step, as dy is of y), dh_n [D, B, P],
                dc_n [D, B, H], each or 0 for zeros; x, y, c, gates, h0, c0, h_fresh, c_fresh,
                mask, keep_h, keep_c, normalised, scales as in `forward`.
            sequence: as in `forward`.
            threads: as in `forward`.
            sums: where several runs sum the gradients of the weights, `num_sums` numbers; 0: here.
                Addresses of gradients may then be 0; without any step the sums are written there.
            adds: whether to go on with the sums of the run before.
            keep_h_share: as in `forward`, as is keep_c_share.
            keep_c_share: see keep_h_share.

        Raises:
            ValueError: another number of addresses.
        """

    def num_sums(self, B: int, normalises: bool = False) -> int:
        """How many numbers `sums` of a backward run holds for B rows; with LayerNorm or without."""

class Session32:
    """A stack of layers and a readout in float32 that keep their state from step to step.

    All arrays are C-contiguous in the session's type; nothing is converted by `step`,
    `read_state` and `write_state`. A session may be called by several threads: calls wait for
    each other.

    Args:
        rows: streams side by side.
    """

    def __init__(self, rows: int) -> None: ...
    def add_layer(
        self,
        cell: str,
        weight_ih: NDArray[Any],
        weight_hh: NDArray[Any],
        bias_ih: NDArray[Any] | None,
        bias_hh: NDArray[Any] | None,
        peepholes: NDArray[Any] | None = None,
        keep_h_share: float = 0,
        keep_c_share: float = 0,
        nonlinearity: str = "tanh",
        weight_hr: NDArray[Any] | None = None,
    ) -> None:
        """Puts a layer on top, whose weights are copied; shapes and shares as in `Layer.forward`.

        Raises:
            ValueError: the sizes do not fit.
            TypeError: a matrix has not two axes, or an array another type.
        """

    def add_readout(self, weight: NDArray[Any], bias: NDArray[Any] | None) -> None:
        """Ends the stack with y = W h + b, [O, H] and [O].

        Raises:
            ValueError, TypeError: as of `add_layer`.
        """

    def step(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        """Feeds x, rows*I numbers, and writes y, rows*O numbers.

        Raises:
            ValueError: another number of numbers; no layer yet.
            TypeError: another type of array.
        """

    def reset(self, rows: Several[int]) -> None:
        """Sets the states of these rows to zero, between two steps.

        Raises:
            IndexError: there is no such row; none was reset.
        """

    def read_state(self, to: NDArray[Any]) -> None:
        """Writes all states to `to`: of every layer h [rows, P] and, of an LSTM, c [rows, H]."""

    def write_state(self, from_: NDArray[Any]) -> None:
        """Takes all states from an array as `read_state` fills it."""

    @property
    def state_size(self) -> int:
        """How many numbers all states are."""

class Session64(Session32):
    """The same in float64."""

def forward_wave(
    layers: Several[Layer],
    weights: Several[Several[int]],
    tensors: Several[Several[int]],
    sequence: Sequence,
    threads: int,
    keep_h_share: float = 0,
    keep_c_share: float = 0,
) -> None:
    """Runs layers on top of each other at the same time, each a few steps behind the one below.

    Args:
        layers: of one cell and type, with D = 1.
        weights: of each layer, as for `Layer.forward`.
        tensors: of each layer, as for `Layer.forward`; x of a layer is y of the one below.
        sequence: the rows of all.
        threads: at most so many; they take layers in turn.
        keep_h_share: of all layers, as in `Layer.forward`.
        keep_c_share: of all layers, as in `Layer.forward`.

    Raises:
        ValueError: a list has the wrong number of entries.
    """

def choose_wave_threads(cell: str, T: int, B: int, H: int, layers: int, most: int) -> int:
    """Threads for `forward_wave`, at most `most`; 1 where one layer after the other is better."""

def choose_threads(cell: str, T: int, B: int, D: int, H: int, most: int) -> int:
    """How many threads are worth starting, from 1 to `most`, by the work of one step."""

def addresses_of(tensors: Several[Any]) -> list[int]:
    """Where torch's tensors begin; 0 for what is None."""

def are_dense(tensors: Several[Any]) -> bool:
    """Whether all that are not None are contiguous and have no sign left to apply."""

def are_alike(tensors: list[Any], shapes: list[Any], dtype: Any) -> bool:
    """Whether the tensors have these shapes and this type, on the CPU."""

def gradient_steps(B: int) -> int:
    """Steps, counted from the last one, whose gradients of the weights are whole blocks of sums."""

def measure_operations(threads: int) -> float:
    """Floating-point operations a second of `threads` threads in registers: the ceiling."""

def measure_reading(bytes: int, threads: int) -> float:
    """Bytes a second of `threads` threads together, each reading `bytes` bytes again and again."""

def nonlinearities() -> list[str]:
    """Names of g that the cell elman knows."""

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

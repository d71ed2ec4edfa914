// The Python module: numbers and addresses in, no tensor out. Only bind* and interpreter.h know
// Python.
// Arguments are described in src/throughtime/native/_kernels.pyi; the caller checks shapes.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bind_jobs.h"
#include "bind_names.h"
#include "bind_session.h"
#include "bind_tensors.h"
#include "dispatch.h"
#include "interpreter.h"
#include "lengths.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace throughtime {
namespace {

// Calls body(Real{}) with the type of the numbers, while other Python threads go on.
template <class Body>
void with_type(bool is_double, Body body) {
    const Unlocked unlocked;
    if (is_double) {
        body(double{});
    } else {
        body(float{});
    }
}

// Which rows a call is about.
struct Sequence {
    Size T, B;
    bool batch_first;
    Address batch_sizes, lengths, reset;

    RowTables tables() const {
        if (batch_sizes) return RowTables::packed(pointer<const std::int64_t>(batch_sizes), T);
        return RowTables::dense(T, B, batch_first, pointer<const std::int64_t>(lengths));
    }
};

// The weights of one layer, packed for the kernels.
class Layer {
  public:
    Layer(const std::string& cell, bool is_double, Size D, Size I, Size H,
          const std::string& nonlinearity, Size P)
        : kind_(cell_named(cell)),
          g_(nonlinearity_named(nonlinearity)),
          is_double_(is_double),
          D_(D),
          I_(I),
          H_(H),
          P_(P ? P : H) {}

    void forward(const std::vector<Address>& weights, const std::vector<Address>& tensors,
                 const Sequence& sequence, int threads, double keep_h_share, double keep_c_share) {
        check_forward(weights, tensors);
        with_type(is_double_, [&]<class Real>(Real) {
            const RowTables tables = sequence.tables();
            const auto job =
                forward_job<Real>(tensors, facts(tables, sequence, keep_h_share, keep_c_share));
            run_pass<Real>(kind_, job, weights_of<Real>(weights, D_).data(), forward_, threads);
        });
    }

    using PerLayer = std::vector<std::vector<Address>>;

    // All layers have one kind, one type and one direction.
    static void forward_wave(const std::vector<Layer*>& layers, const PerLayer& weights,
                             const PerLayer& tensors, const Sequence& sequence, int threads,
                             double keep_h_share, double keep_c_share) {
        if (layers.empty() || weights.size() != layers.size() || tensors.size() != layers.size()) {
            throw nb::value_error("layers, weights and tensors must be of one number, from 1 on.");
        }
        for (std::size_t l = 0; l < layers.size(); ++l) {
            layers[l]->check_forward(weights[l], tensors[l]);
        }
        with_type(layers[0]->is_double_, [&]<class Real>(Real) {
            const RowTables tables = sequence.tables();
            std::vector<Forward<Real>> jobs;
            std::vector<Weights<Real>> all_weights;
            std::vector<PackedCopy*> copies;
            for (std::size_t l = 0; l < layers.size(); ++l) {
                jobs.push_back(forward_job<Real>(
                    tensors[l], layers[l]->facts(tables, sequence, keep_h_share, keep_c_share)));
                all_weights.push_back(weights_of<Real>(weights[l], 1)[0]);
                copies.push_back(&layers[l]->forward_);
            }
            run_wave<Real>(layers[0]->kind_, std::move(jobs), all_weights.data(), copies, threads);
        });
    }

    void backward(const std::vector<Address>& weights, const std::vector<Address>& gradients,
                  const std::vector<Address>& tensors, const Sequence& sequence, int threads,
                  Address sums, bool adds, double keep_h_share, double keep_c_share) {
        check_count("weights", weights, num_weights * D_);
        check_count("gradients", gradients, num_weights * D_);
        check_count("tensors", tensors, 25);
        with_type(is_double_, [&]<class Real>(Real) {
            const RowTables tables = sequence.tables();
            auto job = backward_job<Real>(gradients, tensors,
                                          facts(tables, sequence, keep_h_share, keep_c_share));
            job.sums = pointer<Real>(sums);
            job.adds = adds;
            run_pass<Real>(kind_, job, weights_of<Real>(weights, D_).data(), backward_, threads);
        });
    }

    // Elements of the sums of gradients that backward runs hand to each other.
    Size num_sums(Size B, bool normalises) const {
        const Sizes sizes{0, 0, B, D_, I_, H_, P_, normalises};
        if (is_double_) return chosen_functions<double>().cells[int(kind_)].sums(sizes);
        return chosen_functions<float>().cells[int(kind_)].sums(sizes);
    }

  private:
    void check_forward(const std::vector<Address>& weights,
                       const std::vector<Address>& tensors) const {
        check_count("weights", weights, num_weights * D_);
        check_count("tensors", tensors, 15);
    }

    CallFacts facts(const RowTables& tables, const Sequence& sequence, double keep_h_share,
                    double keep_c_share) const {
        const Sizes sizes{tables.places(), sequence.T, sequence.B, D_, I_, H_, P_};
        const Rows rows = tables.rows(pointer<std::uint8_t>(sequence.reset));
        return {kind_, g_, sizes, rows, keep_h_share, keep_c_share};
    }

    CellKind kind_;
    Nonlinearity g_;
    bool is_double_;
    Size D_, I_, H_, P_;
    PackedCopy forward_, backward_;
};

void use_variant(const std::string& name) {
    if (choose_variant(name)) return;
    std::string message = "variant must be one of";
    for (const std::string& known : known_variants()) message += " " + known;
    throw nb::value_error((message + ", got '" + name + "'.").c_str());
}

}  // namespace
}  // namespace throughtime

// Python calls PyInit__kernels, below, which asks first: nanobind's own start in a second
// interpreter would already break the module of the first.
NB_MODULE(accepted_kernels, m) {
    using namespace throughtime;
    // Threads that the process leaves behind at its end hold layers; that is no leak of ours.
    nb::set_leak_warnings(false);
    nb::class_<Sequence>(m, "Sequence")
        .def(nb::init<Size, Size, bool, Address, Address, Address>(), "T"_a, "B"_a, "batch_first"_a,
             "batch_sizes"_a, "lengths"_a, "reset"_a);
    nb::class_<Layer>(m, "Layer")
        .def(nb::init<const std::string&, bool, Size, Size, Size, const std::string&, Size>(),
             "cell"_a, "is_double"_a, "D"_a, "I"_a, "H"_a, "nonlinearity"_a = "tanh", "P"_a = 0)
        .def("forward", &Layer::forward, "weights"_a, "tensors"_a, "sequence"_a, "threads"_a,
             "keep_h_share"_a = 0, "keep_c_share"_a = 0)
        .def("backward", &Layer::backward, "weights"_a, "gradients"_a, "tensors"_a, "sequence"_a,
             "threads"_a, "sums"_a = 0, "adds"_a = false, "keep_h_share"_a = 0,
             "keep_c_share"_a = 0)
        .def("num_sums", &Layer::num_sums, "B"_a, "normalises"_a = false);
    m.def("forward_wave", &Layer::forward_wave, "layers"_a, "weights"_a, "tensors"_a, "sequence"_a,
          "threads"_a, "keep_h_share"_a = 0, "keep_c_share"_a = 0);
    m.def(
        "choose_wave_threads",
        [](const std::string& cell, Size T, Size B, Size H, int layers, int most) {
            return choose_wave_threads(cell_named(cell), T, B, H, layers, most);
        },
        "cell"_a, "T"_a, "B"_a, "H"_a, "layers"_a, "most"_a);
    m.def(
        "choose_threads",
        [](const std::string& cell, Size T, Size B, Size D, Size H, int most) {
            return choose_threads(cell_named(cell), T, B, D, H, most);
        },
        "cell"_a, "T"_a, "B"_a, "D"_a, "H"_a, "most"_a);
    m.def("measure_operations", &measure_operations, "threads"_a);
    m.def("measure_reading", &measure_reading, "bytes"_a, "threads"_a);
    bind_sessions(m);
    bind_tensors(m);
    m.def("gradient_steps", [](Size B) { return block_steps(B, most_parts(B)); }, "B"_a);
    m.def("nonlinearities", &known_nonlinearities);
    m.def("variants", &known_variants);
    m.def("variant", &chosen_variant);
    m.def("use_variant", &use_variant, "name"_a);
    m.def(
        "tanh",
        [](Address out, Address in, Size n, bool is_double) {
            with_type(is_double, [&]<class Real>(Real) {
                chosen_functions<Real>().tanh(pointer<Real>(out), pointer<Real>(in), n);
            });
        },
        "out"_a, "in_"_a, "n"_a, "is_double"_a);
    m.def(
        "sigmoid",
        [](Address out, Address in, Size n, bool is_double) {
            with_type(is_double, [&]<class Real>(Real) {
                chosen_functions<Real>().sigmoid(pointer<Real>(out), pointer<Real>(in), n);
            });
        },
        "out"_a, "in_"_a, "n"_a, "is_double"_a);
}

extern "C" NB_EXPORT PyObject* PyInit__kernels() {
    return throughtime::accepts_interpreter() ? PyInit_accepted_kernels() : nullptr;
}

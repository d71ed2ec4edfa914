#include "reference.h"

#include <array>
#include <cmath>
#include <utility>

#include "reference_cells.h"

namespace throughtime {
namespace {

// One row in one direction.
class Row {
  public:
    Row(const Case& job, Tensors<double>& tensors, const std::vector<double>& slope_at, Size d,
        Size b)
        : job(job), tensors(tensors), slope_at(slope_at), d(d), b(b), length(job.length(b)) {}

    void forward() {
        const Size H = job.H, state = (d * job.B + b) * H;
        std::vector<double> h(&tensors.h0[state], &tensors.h0[state] + H);
        std::vector<double> c(&tensors.c0[state], &tensors.c0[state] + H);
        for (Size i = 0; i < length; ++i) {
            if (is_fresh(i)) {
                std::copy_n(&tensors.h_fresh[d * H], H, h.begin());
                std::copy_n(&tensors.c_fresh[d * H], H, c.begin());
            }
            std::vector<double> read = h;
            for (Size u = 0; u < H; ++u) read[u] *= mask(u);
            units.emplace_back(H);
            products.push_back({product(0, tensors.x.data() + place(i) * job.I, job.I),
                                product(1, read.data(), H)});
            const std::vector<double> z = pre_activations(0), a = pre_activations(1);
            for (Size u = 0; u < H; ++u) {
                Unit& unit = units[i][u];
                for (Size g = 0; g < job.G(); ++g) {
                    unit.z[g] = z[g * H + u];
                    unit.a[g] = a[g * H + u];
                }
                unit.h_before = h[u];
                unit.c_before = c[u];
                const Size kept = (place(i) * job.D + d) * H + u;
                unit.keep_h = job.draws_zoneout ? tensors.keep_h[kept] : job.keep_h_share;
                unit.keep_c = job.draws_zoneout ? tensors.keep_c[kept] : job.keep_c_share;
                for (Size p = 0; p < job.P() && job.has_peepholes; ++p) {
                    unit.peephole[p] = tensors.weights[d][4][p * H + u];
                }
                unit_forward(job, unit);
            }
            for (Size u = 0; u < H; ++u) {
                h[u] = tensors.y[(place(i) * job.D + d) * H + u] = units[i][u].h;
                c[u] = units[i][u].c;
            }
        }
        std::copy_n(h.begin(), H, &tensors.h_n[state]);
        if (job.is_lstm()) std::copy_n(c.begin(), H, &tensors.c_n[state]);
    }

    void backward() {
        const Size H = job.H, state = (d * job.B + b) * H;
        std::vector<double> dh(&tensors.dh_n[state], &tensors.dh_n[state] + H);
        std::vector<double> dc(&tensors.dc_n[state], &tensors.dc_n[state] + H);
        for (Size i = length - 1; i >= 0; --i) {
            const Size kept = (place(i) * job.D + d) * H;
            for (Size u = 0; u < H; ++u) {
                Unit& unit = units[i][u];
                if (job.hands_in_dc) dc[u] += tensors.dc[kept + u];
                unit_backward(job, unit, dh[u] + tensors.dy[kept + u], dc[u], slope_at[kept + u]);
                for (Size p = 0; p < job.P() && job.has_peepholes; ++p) {
                    tensors.dweights[d][4][p * H + u] += unit.dpeephole[p];
                }
                dh[u] = unit.dh_before;
                dc[u] = unit.dc_before;
            }
            product_backward(i, dh);
            if (!is_fresh(i)) continue;
            for (Size u = 0; u < H; ++u) {
                tensors.dh_fresh[d * H + u] += std::exchange(dh[u], 0);
                if (job.is_lstm()) tensors.dc_fresh[d * H + u] += std::exchange(dc[u], 0);
            }
        }
        std::copy_n(dh.begin(), H, &tensors.dh0[state]);
        if (job.is_lstm()) std::copy_n(dc.begin(), H, &tensors.dc0[state]);
    }

  private:
    Size time(Size i) const { return d == 0 ? i : length - 1 - i; }
    Size place(Size i) const { return job.place(time(i), b); }

    // A reset at t stands between t-1 and t, whichever way one comes.
    bool is_fresh(Size i) const {
        if (d == 0) return tensors.reset[place(i)];
        return i > 0 && tensors.reset[place(i - 1)];
    }

    double mask(Size u) const {
        return job.has_mask ? tensors.mask[(d * job.B + b) * job.H + u] : 1;
    }

    // W v, with k = 0 for the input's weights, 1 for the state's; with LayerNorm normalised.
    struct Product {
        std::vector<double> numbers;
        double scale = 1;
    };

    Product product(int k, const double* v, Size K) const {
        Product result{std::vector<double>(job.G() * job.H)};
        for (Size m = 0; m < Size(result.numbers.size()); ++m) {
            const double* row = tensors.weights[d][k].data() + m * K;
            for (Size j = 0; j < K; ++j) result.numbers[m] += row[j] * v[j];
        }
        if (job.normalises) normalise(result);
        return result;
    }

    static void normalise(Product& row) {
        const double count = double(row.numbers.size());
        double mean = 0, variance = 0;
        for (const double number : row.numbers) mean += number / count;
        for (double& number : row.numbers) {
            number -= mean;
            variance += number * number / count;
        }
        row.scale = 1 / std::sqrt(variance + 1e-5);
        for (double& number : row.numbers) number *= row.scale;
    }

    // gain * v + b of the last step's product.
    std::vector<double> pre_activations(int k) const {
        std::vector<double> numbers = products.back()[k].numbers;
        for (Size m = 0; m < Size(numbers.size()); ++m) {
            if (job.normalises) numbers[m] *= tensors.weights[d][5 + k][m];
            if (job.bias) numbers[m] += tensors.weights[d][2 + k][m];
        }
        return numbers;
    }

    // From the gradients of the pre-activations of step i those of their product, and those of
    // biases and gains.
    std::vector<double> normal_backward(int k, Size i) {
        const Size K = job.G() * job.H;
        const Product& row = products[i][k];
        std::vector<double> d_row(K);
        double mean = 0, along = 0;
        for (Size m = 0; m < K; ++m) {
            const Unit& unit = units[i][m % job.H];
            const double out = (k == 0 ? unit.dz : unit.da)[m / job.H];
            if (job.bias) tensors.dweights[d][2 + k][m] += out;
            d_row[m] = out;
            if (!job.normalises) continue;
            tensors.dweights[d][5 + k][m] += out * row.numbers[m];
            d_row[m] *= tensors.weights[d][5 + k][m];
            mean += d_row[m] / double(K);
            along += d_row[m] * row.numbers[m] / double(K);
        }
        for (Size m = 0; m < K && job.normalises; ++m) {
            d_row[m] = (d_row[m] - mean - row.numbers[m] * along) * row.scale;
        }
        return d_row;
    }

    // Gradients of the weights, of x, and dh += mask * (da W_hh).
    void product_backward(Size i, std::vector<double>& dh) {
        const Size H = job.H, I = job.I;
        const double* x = tensors.x.data() + place(i) * I;
        double* dx = tensors.dx.data() + (d * job.N() + place(i)) * I;
        const std::vector<double> dz_row = normal_backward(0, i), da_row = normal_backward(1, i);
        for (Size m = 0; m < job.G() * H; ++m) {
            const double dz = dz_row[m], da = da_row[m];
            for (Size j = 0; j < I; ++j) {
                tensors.dweights[d][0][m * I + j] += dz * x[j];
                dx[j] += dz * tensors.weights[d][0][m * I + j];
            }
            for (Size j = 0; j < H; ++j) {
                tensors.dweights[d][1][m * H + j] += da * mask(j) * units[i][j].h_before;
                dh[j] += mask(j) * da * tensors.weights[d][1][m * H + j];
            }
        }
    }

    const Case& job;
    Tensors<double>& tensors;
    const std::vector<double>& slope_at;
    Size d, b, length;
    std::vector<std::vector<Unit>> units;          // [steps visited, H]
    std::vector<std::array<Product, 2>> products;  // [steps visited]
};

}  // namespace

void run_reference(const Case& job, Tensors<double>& tensors, const std::vector<double>& slope_at) {
    for_outputs(job, tensors, [](const char*, std::vector<double>& tensor, Size elements) {
        tensor.assign(elements, 0);
    });
    for (Size d = 0; d < job.D; ++d) {
        for (Size b = 0; b < job.B; ++b) {
            Row row(job, tensors, slope_at, d, b);
            row.forward();
            row.backward();
        }
    }
}

}  // namespace throughtime

#include "reference_cells.h"

#include <cmath>

namespace throughtime {

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

double mix(double share, double before, double now) {
    return share * before + (1 - share) * now;
}

namespace {

// The LSTM whose gates f, g, o begin at f; before them stands i, or with f = 0, i = 1 - f.
void lstm_forward(int f, Unit& unit) {
    const double *z = unit.z, *a = unit.a, *p = unit.peephole;
    const int g = f + 1, o = f + 2;
    unit.gate[f] = sigmoid(z[f] + a[f] + p[f] * unit.c_before);
    unit.i = f == 0 ? 1 - unit.gate[0] : sigmoid(z[0] + a[0] + p[0] * unit.c_before);
    unit.gate[g] = std::tanh(z[g] + a[g]);
    unit.c_new = unit.gate[f] * unit.c_before + unit.i * unit.gate[g];
    unit.gate[o] = sigmoid(z[o] + a[o] + p[o - 1] * unit.c_new);
    unit.h_new = unit.gate[o] * std::tanh(unit.c_new);
}

void lstm_backward(int f, Unit& unit, double dh, double dc) {
    const double *gate = unit.gate, *p = unit.peephole;
    const int g = f + 1, o = f + 2;
    double* dz = unit.dz;
    const double tanh_c = std::tanh(unit.c_new);
    dz[o] = dh * tanh_c * gate[o] * (1 - gate[o]);
    dc += dh * gate[o] * (1 - tanh_c * tanh_c) + dz[o] * p[o - 1];
    unit.dc_new = dc;
    const double di = dc * gate[g];
    double df = dc * unit.c_before;
    dz[g] = dc * unit.i * (1 - gate[g] * gate[g]);
    unit.dc_before += dc * gate[f];
    if (f == 0) {
        df -= di;
    } else {
        dz[0] = di * unit.i * (1 - unit.i);
        unit.dc_before += dz[0] * p[0];
        unit.dpeephole[0] = dz[0] * unit.c_before;
    }
    dz[f] = df * gate[f] * (1 - gate[f]);
    unit.dc_before += dz[f] * p[f];
    unit.dpeephole[f] = dz[f] * unit.c_before;
    unit.dpeephole[o - 1] = dz[o] * unit.c_new;
}

bool jumps(Nonlinearity g) {
    return g == Nonlinearity::relu || g == Nonlinearity::leaky_relu || g == Nonlinearity::hardtanh;
}

}  // namespace

void unit_forward(const Case& job, Unit& unit) {
    const double *z = unit.z, *a = unit.a;
    double* gate = unit.gate;
    switch (job.cell) {
        case CellKind::elman_tanh:
            unit.h_new = std::tanh(z[0] + a[0]);
            break;
        case CellKind::elman_relu:
            unit.h_new = std::max(z[0] + a[0], 0.0);
            break;
        case CellKind::elman:
            unit.h_new = value_of(job.g, z[0] + a[0]);
            break;
        case CellKind::lstm:
            lstm_forward(1, unit);
            break;
        case CellKind::coupled_lstm:
            lstm_forward(0, unit);
            break;
        case CellKind::gru:
            for (int g : {0, 1}) gate[g] = sigmoid(z[g] + a[g]);
            gate[2] = std::tanh(z[2] + gate[0] * a[2]);
            unit.h_new = (1 - gate[1]) * gate[2] + gate[1] * unit.h_before;
            break;
        case CellKind::gru_reset_before:  // gate[0] is in a[2] already
            gate[1] = sigmoid(z[1] + a[1]);
            gate[2] = std::tanh(z[2] + a[2]);
            unit.h_new = (1 - gate[1]) * gate[2] + gate[1] * unit.h_before;
            break;
    }
    unit.h = mix(unit.keep_h, unit.h_before, unit.h_new);
    unit.c = mix(unit.keep_c, unit.c_before, unit.c_new);
}

void unit_backward(const Case& job, Unit& unit, double dh, double dc, double slope_at) {
    const double* gate = unit.gate;
    double* dz = unit.dz;
    unit.dh_before = unit.keep_h * dh;
    unit.dc_before = unit.keep_c * dc;
    unit.dc = dc;
    dh *= 1 - unit.keep_h;
    dc *= 1 - unit.keep_c;
    switch (job.cell) {
        case CellKind::elman_tanh:
            dz[0] = dh * (1 - unit.h_new * unit.h_new);
            break;
        case CellKind::elman_relu:
            dz[0] = slope_at > 0 ? dh : 0;
            break;
        case CellKind::elman:
            dz[0] = dh * slope_of(job.g, jumps(job.g) ? slope_at : unit.z[0] + unit.a[0]);
            break;
        case CellKind::lstm:
            lstm_backward(1, unit, dh, dc);
            break;
        case CellKind::coupled_lstm:
            lstm_backward(0, unit, dh, dc);
            break;
        case CellKind::gru:
            dz[2] = dh * (1 - gate[1]) * (1 - gate[2] * gate[2]);
            dz[1] = dh * (unit.h_before - gate[2]) * gate[1] * (1 - gate[1]);
            dz[0] = dz[2] * unit.a[2] * gate[0] * (1 - gate[0]);
            unit.dh_before += dh * gate[1];
            break;
        case CellKind::gru_reset_before:  // dz[0] comes from all da[2]
            dz[2] = dh * (1 - gate[1]) * (1 - gate[2] * gate[2]);
            dz[1] = dh * (unit.h_before - gate[2]) * gate[1] * (1 - gate[1]);
            unit.dh_before += dh * gate[1];
            break;
    }
    std::copy_n(dz, 4, unit.da);
    if (job.cell == CellKind::gru) unit.da[2] = dz[2] * gate[0];
}

}  // namespace throughtime

// What main.cpp runs, in this order.
#pragma once

namespace throughtime {

void test_functions();
void test_layers();
void test_nonlinearities();
void test_options();
void test_sessions();
void test_threads();
void test_denormals();

}  // namespace throughtime

// The tests of one variant, without Python: kernel_tests avx2. Without a name: of every variant
// that this processor can run. Exit code 77 says that the named one is none of them.
#include "check.h"
#include "dispatch.h"
#include "tests.h"

int main(int num_arguments, char** arguments) {
    using namespace throughtime;
    std::vector<std::string> names = known_variants();
    if (num_arguments > 1) names = {arguments[1]};
    for (const std::string& name : names) {
        if (!choose_variant(name)) {
            std::printf("%s untested: this processor lacks it\n", name.c_str());
            return 77;
        }
        test_functions();
        test_layers();
        test_nonlinearities();
        test_options();
        test_sessions();
        test_threads();
        test_denormals();
        std::printf("%s: %d checks, %d failed\n", name.c_str(), num_checks, num_failures);
    }
    return num_failures > 0;
}

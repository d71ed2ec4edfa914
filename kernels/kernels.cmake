# The kernels as a CMake target, `kernels`: for the Python module, and for the tests in C++.

if(NOT CMAKE_CXX_COMPILER_ID MATCHES "^(GNU|Clang|AppleClang)$")
  message(FATAL_ERROR
    "throughtime needs GCC or Clang for its vector extensions, got ${CMAKE_CXX_COMPILER_ID}; "
    "set CXX=g++ or CXX=clang++.")
endif()
if(NOT CMAKE_SYSTEM_NAME MATCHES "^(Linux|Darwin)$")
  message(FATAL_ERROR
    "throughtime needs Linux or macOS for its threads and memory, got ${CMAKE_SYSTEM_NAME}; "
    "on Windows, build it in WSL.")
endif()
if(NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR
    "throughtime needs a 64-bit machine, got pointers of ${CMAKE_SIZEOF_VOID_P} bytes; "
    "build with a 64-bit compiler and Python.")
endif()
if(CMAKE_CXX_BYTE_ORDER STREQUAL "BIG_ENDIAN")
  message(FATAL_ERROR
    "throughtime needs a little-endian machine, got ${CMAKE_SYSTEM_PROCESSOR}, on which nothing "
    "here was ever run; use torch.nn there.")
endif()

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
find_package(Threads REQUIRED)

# No -ffast-math: NaN and infinity must travel. Fused multiply-adds are welcome.
set(KERNEL_FLAGS $<$<NOT:$<CONFIG:Debug>>:-O3> -ffp-contract=fast -fno-math-errno -Wall -Wextra)

# The kernels are one source, compiled once per instruction set; dispatch.cpp chooses at run time.
function(add_variant name)
  add_library(kernels_${name} OBJECT ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/variant.cpp)
  target_compile_options(kernels_${name} PRIVATE ${KERNEL_FLAGS} ${ARGN})
  target_compile_definitions(kernels_${name} PRIVATE THROUGHTIME_VARIANT=${name})
  target_sources(kernels INTERFACE $<TARGET_OBJECTS:kernels_${name}>)
endfunction()

add_library(kernels INTERFACE)
target_include_directories(kernels INTERFACE ${CMAKE_CURRENT_LIST_DIR})
target_sources(kernels INTERFACE
  ${CMAKE_CURRENT_LIST_DIR}/dispatch.cpp
  ${CMAKE_CURRENT_LIST_DIR}/session.cpp
  ${CMAKE_CURRENT_LIST_DIR}/team.cpp)
target_link_libraries(kernels INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  add_variant(avx512 -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx2 -mfma
    -mprefer-vector-width=512)
  add_variant(avx2 -mavx2 -mfma)
  add_variant(plain)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  add_variant(neon)
else()
  add_variant(plain)
endif()

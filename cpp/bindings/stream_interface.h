/* A stream as the compiled modules beside pylstm._core see it: sizes and functions.  No C++ type crosses, and there is
 * one copy of the kernels. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of the capsules that pylstm._core.open_stream returns.  The number changes with the struct. */
#define PYLSTM_STREAM_CAPSULE "pylstm.stream.2"

#ifdef __cplusplus
extern "C" {
#endif

/* Pointers to numbers are to float, or to double where is_double. */
struct pylstm_stream {
  void* self;
  int is_double;
  size_t rows, inputs, outputs;
  size_t step_products;     /* multiply-adds of a step */
  size_t parts, state_size; /* arrays of the state; their elements */
  void (*step)(void* self, const void* x, void* outputs);
  void (*run)(void* self, const void* x, void* outputs, size_t steps);
  void (*reset)(void* self, size_t row);
  const char* (*part_name)(void* self, size_t part);
  size_t (*part_width)(void* self, size_t part);
  void (*save)(void* self, void* values, uint64_t* steps);
  void (*load)(void* self, const void* values, const uint64_t* steps);
};

#ifdef __cplusplus
}
#endif

/*
 * pylstm in C: load a model file, predict.  For C, and for every language that calls C.
 *
 *   pylstm_model* model;
 *   if (pylstm_model_load("model.safetensors", &model) != PYLSTM_OK) puts(pylstm_last_error());
 *   size_t y_size = pylstm_model_output_size(model, n_samples, n_steps);
 *   float* y = malloc(y_size * sizeof *y);
 *   pylstm_model_predict_f32(model, x, n_samples, n_steps, y, y_size);
 *   pylstm_model_free(model);
 *
 * Functions may be called from any thread; a model may be used by several at once, but for `free`.  Nothing throws; a
 * process that runs out of memory within a file's JSON may end there.
 */
#ifndef PYLSTM_H
#define PYLSTM_H

#include <stddef.h>

#if defined(PYLSTM_C_STATIC)
#define PYLSTM_API
#elif defined(_WIN32)
#if defined(PYLSTM_C_BUILD)
#define PYLSTM_API __declspec(dllexport)
#else
#define PYLSTM_API __declspec(dllimport)
#endif
#else
#define PYLSTM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pylstm_model pylstm_model;

typedef enum pylstm_status {
  PYLSTM_OK = 0,
  PYLSTM_INVALID_ARGUMENT = 1, /* a null pointer, a size that does not fit */
  PYLSTM_FILE_ERROR = 2,       /* a file cannot be opened or read */
  PYLSTM_FORMAT_ERROR = 3,     /* a file is no model, not a whole one, or of a newer version */
  PYLSTM_OUT_OF_MEMORY = 4,
  PYLSTM_INTERNAL_ERROR = 5
} pylstm_status;

/* "1.2.3". */
PYLSTM_API const char* pylstm_version(void);

/* What was wrong with this thread's last call that failed; valid until its next one fails.  Never null. */
PYLSTM_API const char* pylstm_last_error(void);

/* The most threads that predictions use, 1 to 1024. */
PYLSTM_API pylstm_status pylstm_set_threads(size_t threads);

/* Reads a model file.  On failure *model is null. */
PYLSTM_API pylstm_status pylstm_model_load(const char* path, pylstm_model** model);

/* Reads a model file's bytes, which are not needed afterwards. */
PYLSTM_API pylstm_status pylstm_model_load_memory(const void* bytes, size_t size, pylstm_model** model);

/* Null is fine. */
PYLSTM_API void pylstm_model_free(pylstm_model* model);

/* Numbers of a step: 1 for tokens, otherwise the features; of a model that takes missing values three times as many:
 * all values (0 where missing), whether each is missing, log(1 + steps since it was seen).  0 for null. */
PYLSTM_API size_t pylstm_model_inputs(const pylstm_model* model);

/* What the network gives for a target: a number, the logarithm of a count, a number for each quantile, a logit for each
 * class, of two classes one for the second.  0 for null. */
PYLSTM_API size_t pylstm_model_outputs(const pylstm_model* model);

/* Elements of y: n_samples * outputs, n_steps times as many of a model with a target for every step.  0 for null,
 * SIZE_MAX where no size_t is that large. */
PYLSTM_API size_t pylstm_model_output_size(const pylstm_model* model, size_t n_samples, size_t n_steps);

/* JSON: {"library", "dtype", "architecture", "task"}.  It lives as long as the model; null for null. */
PYLSTM_API const char* pylstm_model_describe(const pylstm_model* model);

/* y [n_samples][outputs], of a model with a target for every step [n_samples][n_steps][outputs], from x
 * [n_samples][n_steps][inputs].  y_size: elements that y has room for.
 * The model computes in its own type, whichever of the two is called. */
PYLSTM_API pylstm_status pylstm_model_predict_f32(const pylstm_model* model, const float* x, size_t n_samples,
                                                  size_t n_steps, float* y, size_t y_size);
PYLSTM_API pylstm_status pylstm_model_predict_f64(const pylstm_model* model, const double* x, size_t n_samples,
                                                  size_t n_steps, double* y, size_t y_size);

#ifdef __cplusplus
}
#endif

#endif

/* Forecasts the value after the end of a series with a model that Python saved (examples/python/save_model.py):
 *   predict model.safetensors series.csv n_steps */
#include <stdio.h>
#include <stdlib.h>

#include "pylstm.h"

#define MOST_STEPS 4096

/* The last `wanted` numbers of a file, one a line after a header; 0 if there are not as many. */
static int read_end(const char* path, size_t wanted, double* values) {
  char line[256];
  size_t count = 0;
  FILE* const file = fopen(path, "r");
  if (file == NULL) return 0;
  while (fgets(line, sizeof line, file) != NULL) {
    char* end;
    const double value = strtod(line, &end);
    if (end != line) values[count++ % wanted] = value;
  }
  fclose(file);
  if (count < wanted) return 0;
  for (size_t turns = count % wanted; turns > 0; --turns) { /* the oldest to the front */
    const double first = values[0];
    for (size_t i = 1; i < wanted; ++i) values[i - 1] = values[i];
    values[wanted - 1] = first;
  }
  return 1;
}

int main(int argc, char** argv) {
  static double window[MOST_STEPS];
  const size_t steps = argc == 4 ? (size_t)strtoul(argv[3], NULL, 10) : 0;
  pylstm_model* model = NULL;
  double y[1];
  int failed = 1;
  if (steps == 0 || steps > MOST_STEPS) {
    fprintf(stderr, "usage: predict model.safetensors series.csv n_steps\n");
    return 1;
  }
  if (pylstm_model_load(argv[1], &model) != PYLSTM_OK) {
    fprintf(stderr, "%s\n", pylstm_last_error());
    return 1;
  }
  printf("%s\n", pylstm_model_describe(model));
  if (pylstm_model_inputs(model) != 1 || pylstm_model_output_size(model, 1, steps) != 1) {
    fprintf(stderr, "the model is not for one value after one series\n");
  } else if (!read_end(argv[2], steps, window)) {
    fprintf(stderr, "%s has no %zu values\n", argv[2], steps);
  } else if (pylstm_model_predict_f64(model, window, 1, steps, y, 1) != PYLSTM_OK) {
    fprintf(stderr, "%s\n", pylstm_last_error());
  } else {
    printf("next value: %.9g\n", y[0]);
    failed = 0;
  }
  pylstm_model_free(model);
  return failed;
}

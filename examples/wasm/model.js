// A trained network in JavaScript, over pylstm.js, which `run` builds from pylstm.cpp.  For browsers and Node.
//
//   const model = await Model.load(bytes);  // of a file that save_model wrote: an ArrayBuffer or Uint8Array
//   const y = model.step(x);  // Float32Arrays: x [steps x inputs], y [steps x outputs], after each step
//   model.reset();  // back to before the first step
"use strict";

class Model {
  static #runtime = null; // one WebAssembly instance for all models

  #wasm;
  #handle;

  /** Throws an Error where the bytes are no model, or one that does not go one step at a time. */
  static async load(bytes) {
    Model.#runtime ??= (typeof createPylstm === "function" ? createPylstm : require("./pylstm.js"))();
    const wasm = await Model.#runtime;
    const file = new Uint8Array(bytes);
    const at = Model.#allocate(wasm, file.length);
    wasm.HEAPU8.set(file, at);
    const handle = wasm._load(at, file.length);
    wasm._free(at);
    if (handle === 0) throw new Error(wasm.UTF8ToString(wasm._last_error()));
    return new Model(wasm, handle);
  }

  constructor(wasm, handle) {
    this.#wasm = wasm;
    this.#handle = handle;
    this.description = JSON.parse(wasm.UTF8ToString(wasm._describe(handle)));
    this.inputs = wasm._inputs(handle);
    this.outputs = wasm._outputs(handle);
  }

  step(x) {
    const steps = x.length / this.inputs;
    if (!Number.isInteger(steps)) throw new RangeError(`x has ${x.length} values, expected a multiple of ${this.inputs}`);
    const size = steps * this.outputs;
    const at = Model.#allocate(this.#wasm, 4 * (x.length + size));
    this.#wasm.HEAPF32.set(x, at / 4);
    this.#wasm._step(this.#handle, at, steps, at + 4 * x.length);
    const y = this.#wasm.HEAPF32.slice(at / 4 + x.length, at / 4 + x.length + size);
    this.#wasm._free(at);
    return y;
  }

  reset() {
    this.#wasm._reset(this.#handle);
  }

  /** Gives the memory back; the model is of no use afterwards. */
  free() {
    this.#wasm._unload(this.#handle);
    this.#handle = 0;
  }

  static #allocate(wasm, size) {
    const at = wasm._malloc(size);
    if (at === 0 && size > 0) throw new RangeError(`no memory for ${size} bytes`);
    return at;
  }
}

/** The `count` values after the end of `series`, each from the `steps` before it: measured ones, then forecasts. */
function forecast(model, series, steps, count) {
  const extended = new Float32Array(steps + count);
  extended.set(series.slice(series.length - steps));
  for (let i = 0; i < count; ++i) {
    model.reset();
    extended[steps + i] = model.step(extended.subarray(i, i + steps))[steps - 1];
  }
  return extended.slice(steps);
}

if (typeof module === "object") module.exports = { Model, forecast };

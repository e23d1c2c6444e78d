/// Chooses the kernels: what the processor and the operating system can run, or what PYLSTM_ISA asks for.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "pylstm/dispatch.hpp"
#include "tables.hpp"

namespace pylstm {
namespace {

struct Isa {
  const char* name;
  const kernels::KernelTable<float>* float_table;
  const kernels::KernelTable<double>* double_table;
  bool runs_here;
};

/// Best first.  The compiler's own detection also asks whether the system saves the wide registers.
std::vector<Isa> detect() {
  std::vector<Isa> isas;
#if defined(__x86_64__)
  __builtin_cpu_init();
  [[maybe_unused]] const bool fma = __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
#endif
#if defined(PYLSTM_HAS_avx512)
  const bool avx512 = fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  isas.push_back({"avx512", &dispatch::avx512_float, &dispatch::avx512_double, avx512});
#endif
#if defined(PYLSTM_HAS_avx2)
  isas.push_back({"avx2", &dispatch::avx2_float, &dispatch::avx2_double, fma});
#endif
#if defined(PYLSTM_HAS_neon)
  isas.push_back({"neon", &dispatch::neon_float, &dispatch::neon_double, true});
#endif
#if defined(PYLSTM_HAS_generic)
  isas.push_back({"generic", &dispatch::generic_float, &dispatch::generic_double, true});
#endif
  return isas;
}

const std::vector<Isa>& isas() {
  static const std::vector<Isa> all = detect();
  return all;
}

const Isa& find(const std::string& name, const char* asked_by) {
  std::string choices;
  for (const Isa& isa : isas()) {
    if (!isa.runs_here) continue;
    if (name == isa.name) return isa;
    choices += choices.empty() ? isa.name : std::string(", ") + isa.name;
  }
  fail(asked_by, " is \"", name, "\", expected one that this machine can run: ", choices);
}

const Isa& choose() {
  const char* const forced = std::getenv("PYLSTM_ISA");
  if (forced != nullptr && *forced != '\0') return find(forced, "PYLSTM_ISA");
  const auto best = std::find_if(isas().begin(), isas().end(), [](const Isa& isa) { return isa.runs_here; });
  if (best == isas().end())
    throw std::runtime_error("this machine has none of the instruction sets that pylstm was built for");
  return *best;
}

std::atomic<const Isa*>& active() {
  static std::atomic<const Isa*> isa{&choose()};
  return isa;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas()) {
    if (isa.runs_here) names.emplace_back(isa.name);
  }
  return names;
}

void set_isa(const std::string& name) { active().store(&find(name, "isa")); }

template <>
const kernels::KernelTable<float>& active_kernels<float>() {
  return *active().load()->float_table;
}

template <>
const kernels::KernelTable<double>& active_kernels<double>() {
  return *active().load()->double_table;
}

}  // namespace pylstm

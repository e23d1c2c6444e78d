/// The version, in its one place: CMake, the wheel and Python read it from here.
#pragma once

namespace pylstm {

inline constexpr char version[] = "0.1.0";

}  // namespace pylstm

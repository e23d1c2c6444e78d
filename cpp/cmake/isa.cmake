# The instruction sets that kernels are compiled for, and the flags of each.

set(architecture "${CMAKE_SYSTEM_PROCESSOR}")
if(APPLE AND CMAKE_OSX_ARCHITECTURES)
  set(architecture "${CMAKE_OSX_ARCHITECTURES}")
endif()

set(isas generic)
if(architecture MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  list(APPEND isas avx2 avx512)
elseif(architecture MATCHES "^(aarch64|arm64|ARM64)$")
  list(APPEND isas neon)
endif()
# Each takes minutes to compile.
set(PYLSTM_ISAS "${isas}" CACHE STRING "Instruction sets of pylstm::dispatch; the best that the machine has is chosen at run time")
set(unknown ${PYLSTM_ISAS})
list(REMOVE_ITEM unknown ${isas})
if(unknown OR NOT PYLSTM_ISAS)
  message(FATAL_ERROR "PYLSTM_ISAS is \"${PYLSTM_ISAS}\", expected some of \"${isas}\"")
endif()
unset(unknown)
unset(architecture)
unset(isas)

# clang-cl takes GNU options that it does not know itself behind /clang:.
if(CMAKE_CXX_COMPILER_FRONTEND_VARIANT STREQUAL "MSVC")
  set(PYLSTM_GNU_OPTION "/clang:")
else()
  set(PYLSTM_GNU_OPTION "")
endif()
set(PYLSTM_FP_CONTRACT_OFF ${PYLSTM_GNU_OPTION}-ffp-contract=off)
# For what gains nothing from -O3; also where a parent project has no build type.
set(PYLSTM_SMALL_RELEASE "$<$<NOT:$<CONFIG:Debug>>:${PYLSTM_GNU_OPTION}-O2>")

# A machine with AVX2 alone can test the AVX-512 kernels in pairs of vectors: the preset avx512-emulated.
set(PYLSTM_AVX512_OPTIONS -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512 CACHE STRING "Options of the AVX-512 kernels")
mark_as_advanced(PYLSTM_AVX512_OPTIONS)

# Sets `result` to the options of a file of kernels for `isa`; never -ffast-math, whose start-up code makes the whole process flush denormals.
function(pylstm_isa_options isa result)
  set(options -fno-math-errno -fno-trapping-math)
  set(level -O3)
  if(isa STREQUAL "avx2")
    list(APPEND options -mavx2 -mfma)
  elseif(isa STREQUAL "avx512")
    list(APPEND options ${PYLSTM_AVX512_OPTIONS})
  elseif(isa STREQUAL "generic")
    set(level -O2) # at most 3 % slower, 50 KB less code
  endif()
  list(TRANSFORM options PREPEND "${PYLSTM_GNU_OPTION}")
  list(APPEND options "$<$<NOT:$<CONFIG:Debug>>:${PYLSTM_GNU_OPTION}${level}>")
  set(${result} "${options}" PARENT_SCOPE)
endfunction()

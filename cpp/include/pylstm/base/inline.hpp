/// The one include-time fact every room needs: how to force inlining.
/// Kernels of several ISAs live in one binary, so a helper that is not inlined could be merged with its twin of another
/// ISA.
#pragma once

#define PYLSTM_INLINE [[gnu::always_inline]] inline
#define PYLSTM_INLINE_LAMBDA __attribute__((always_inline))

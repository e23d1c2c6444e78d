/// The one include-time fact every room needs: how to force inlining.
/// Kernels of several ISAs live in one binary, so a helper that is not inlined could be merged with its twin of another
/// ISA.  Builds that no one measures may define these as `inline` and nothing: sanitizers' kernels compile in a minute
/// then, not in half an hour.
#pragma once

#if !defined(PYLSTM_INLINE)
#define PYLSTM_INLINE [[gnu::always_inline]] inline
#define PYLSTM_INLINE_LAMBDA __attribute__((always_inline))
#endif

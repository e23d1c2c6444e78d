"""AVX-512 where there is AVX2 only."""

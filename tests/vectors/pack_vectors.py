"""Writes pack.txt with Python's msgpack 1.0.3 (Debian's python3-msgpack): what is packed | its first bytes in hex."""
import msgpack

values = [None, True, False]
unsigned = [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1]
signed = [-1, -32, -33, -128, -129, -32768, -32769, -2**31, -2**31 - 1, -2**63]
for name, v in zip(("nil", "true", "false"), values):
    print(name, "|", msgpack.packb(v).hex())
for v in unsigned:
    print("u", v, "|", msgpack.packb(v).hex())
for v in signed:
    print("i", v, "|", msgpack.packb(v).hex())
for text in ("0", "1", "-0.1", "1e300", "inf"):
    print("f", text, "|", msgpack.packb(float(text)).hex())
for n in (0, 1, 31, 32, 255, 256, 65535, 65536):
    print("s", n, "|", msgpack.packb("x" * n)[:8].hex())
for n in (0, 1, 255, 256, 65535, 65536):
    print("b", n, "|", msgpack.packb(b"x" * n, use_bin_type=True)[:8].hex())
for n in (0, 1, 15, 16, 65535, 65536):
    print("a", n, "|", msgpack.packb([None] * n)[:8].hex())
for n in (0, 1, 15, 16):
    print("m", n, "|", msgpack.packb({i: None for i in range(n)})[:8].hex())

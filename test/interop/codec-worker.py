# The codec modules that the barman tools use, served by one process over standard input and output.
#
# Request:  length of the header (4 bytes, big-endian), the header (JSON: module, way, level, size), `size` bytes of content.
# Answer:   0 or 1 (1 byte: done, failed), length (4 bytes, big-endian), the result or the words of the failure.
import importlib
import io
import json
import struct
import sys


def read(size):
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        sys.exit(0)
    return data


def answer(failed, data):
    sys.stdout.buffer.write(struct.pack('>BI', failed, len(data)) + data)
    sys.stdout.buffer.flush()


def pack(name, module, level, data):
    if name == 'lzma':
        return module.compress(data, preset=level)
    if name == 'zstandard':
        return module.ZstdCompressor(level).compress(data)
    if name == 'lz4.frame':
        return module.compress(data, compression_level=level)
    if name == 'snappy':
        target = io.BytesIO()
        module.stream_compress(io.BytesIO(data), target)
        return target.getvalue()
    return module.compress(data, level)


def unpack(name, module, data):
    if name == 'zstandard':
        return module.ZstdDecompressor().decompressobj().decompress(data)
    if name == 'snappy':
        target = io.BytesIO()
        module.stream_decompress(io.BytesIO(data), target)
        return target.getvalue()
    return module.decompress(data)


while True:
    (length,) = struct.unpack('>I', read(4))
    header = json.loads(read(length))
    content = read(header['size'])
    try:
        module = importlib.import_module(header['module'])
        if header['way'] == 'pack':
            result = pack(header['module'], module, header['level'], content)
        else:
            result = unpack(header['module'], module, content)
    except Exception as error:
        answer(1, repr(error).encode())
    else:
        answer(0, result)

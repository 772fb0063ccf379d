package kafka

// #include <stdlib.h>
// #if defined(__GLIBC__)
// #include <malloc.h>
// static void keep_less(void) {
//   if (getenv("MALLOC_ARENA_MAX") == NULL) mallopt(M_ARENA_MAX, 2);
//   if (getenv("MALLOC_MMAP_THRESHOLD_") == NULL) mallopt(M_MMAP_THRESHOLD, 256 << 10);
//   if (getenv("MALLOC_TRIM_THRESHOLD_") == NULL) mallopt(M_TRIM_THRESHOLD, 1 << 20);
// }
// #else
// static void keep_less(void) {}
// #endif
import "C"

import "sync"

// keepLess makes glibc's allocator, which librdkafka's threads use, hold less of what was freed: it gives each thread an arena
// of its own, several for each client, and keeps freed fetch buffers in them. Here all share two, and large buffers go back to
// the kernel. What the environment says of it counts. musl's allocator, of the image, has no such settings and needs none.
var keepLess = sync.OnceFunc(func() { C.keep_less() })

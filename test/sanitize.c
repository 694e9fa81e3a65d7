/*-------------------------------------------------------------------------
 *
 * sanitize.c
 *	  Lets AddressSanitizer see each palloc of the extension: SANITIZE=1 test/run.
 *
 * It knows malloc, but a packaged server hands out parts of what it has got
 * from there.  An allocation so large has a block of its own, which goes back
 * to malloc as soon as it is freed or its context is reset; what is not asked
 * for is poisoned.  The linker calls these functions instead of the server's
 * where the extension calls the latter (--wrap).  What the server allocates
 * for us, like the buffer of a StringInfo, is not seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sanitizer/asan_interface.h>

#include "utils/memutils.h"

/* one that is larger has a block of its own: ALLOC_CHUNK_LIMIT in aset.c */
#define LARGE 8192

#define WRAP(name, parameters, arguments) \
	extern void *__real_##name parameters; \
	extern void *__wrap_##name parameters; \
	void * \
	__wrap_##name parameters \
	{ \
		void	   *chunk; \
		Size		asked = size; \
		\
		if (asked > MaxAllocSize - LARGE - 8) \
			return __real_##name arguments; \
		size += LARGE + 8; \
		chunk = __real_##name arguments; \
		ASAN_POISON_MEMORY_REGION((char *) chunk + asked, LARGE + 8); \
		return chunk; \
	}

WRAP(palloc, (Size size), (size))
WRAP(palloc0, (Size size), (size))
WRAP(repalloc, (void *pointer, Size size), (pointer, size))
WRAP(MemoryContextAlloc, (MemoryContext context, Size size), (context, size))
WRAP(MemoryContextAllocZero, (MemoryContext context, Size size), (context, size))
WRAP(MemoryContextAllocZeroAligned, (MemoryContext context, Size size), (context, size))

extern char *__wrap_pstrdup(const char *string);

char *
__wrap_pstrdup(const char *string)
{
	return strcpy(__wrap_palloc(strlen(string) + 1), string);
}

/*-------------------------------------------------------------------------
 *
 * sample_keys.c
 *	  The aggregate connections_redesign.sample_keys(text): the three least keys
 *	  of a group, for reports.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "compat.h"

/* How many keys the aggregate returns */
#define SAMPLES 3

PG_FUNCTION_INFO_V1(crd_sample_keys_accum);
PG_FUNCTION_INFO_V1(crd_sample_keys_combine);

/* Add keys to the sorted ones, in place; return how many there are then. */
static int
add_key(Datum *keys, int nkeys, Datum key)
{
	int			i = nkeys;

	while (i > 0 && DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID,
														  key, keys[i - 1])) < 0)
		i--;
	if (i >= SAMPLES)
		return nkeys;
	nkeys = Min(nkeys + 1, SAMPLES);
	memmove(&keys[i + 1], &keys[i], sizeof(Datum) * (nkeys - i - 1));
	keys[i] = key;
	return nkeys;
}

/* Add the keys of a state, which may be NULL, to the sorted ones. */
static int
add_state(Datum *keys, int nkeys, FunctionCallInfo fcinfo, int arg)
{
	Datum	   *elems;
	bool	   *nulls;
	int			nelems;

	if (PG_ARGISNULL(arg))
		return nkeys;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false,
					  TYPALIGN_INT, &elems, &nulls, &nelems);
	for (int i = 0; i < nelems; i++)
		if (!nulls[i])
			nkeys = add_key(keys, nkeys, elems[i]);
	return nkeys;
}

/*
 * State transition of the aggregate connections_redesign.sample_keys(text).
 */
Datum
crd_sample_keys_accum(PG_FUNCTION_ARGS)
{
	Datum		keys[SAMPLES];
	int			nkeys = add_state(keys, 0, fcinfo, 0);

	if (!PG_ARGISNULL(1))
		nkeys = add_key(keys, nkeys, PG_GETARG_DATUM(1));
	if (nkeys == 0)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(construct_array(keys, nkeys, TEXTOID, -1, false,
										  TYPALIGN_INT));
}

/*
 * Combine two states of least_keys, as parallel workers give them.
 */
Datum
crd_sample_keys_combine(PG_FUNCTION_ARGS)
{
	Datum		keys[SAMPLES];
	int			nkeys = add_state(keys, 0, fcinfo, 0);

	nkeys = add_state(keys, nkeys, fcinfo, 1);
	if (nkeys == 0)
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(construct_array(keys, nkeys, TEXTOID, -1, false,
										  TYPALIGN_INT));
}

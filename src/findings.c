/*-------------------------------------------------------------------------
 *
 * findings.c
 *	  Reads what is known of a database when it is first asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "findings.h"

CrdFindings *
crd_findings(CrdSchema *schema, int target, bool to_plan)
{
	CrdFindings *findings = palloc0(sizeof(CrdFindings));

	findings->schema = schema;
	findings->target = target;
	findings->to_plan = to_plan;

	/* what an undone step 4 has yet to bring back was kept on its way up */
	findings->keepsake = crd_keepsake_read(target > schema->highest_whole &&
										   !(crd_to_be_finished(schema) && !schema->unfinished_up));

	/* an index that was there before step 3 is not the step's own */
	if (schema->highest_whole >= 3 && findings->keepsake->statements[3] != NIL)
		schema->own_fk_index = InvalidOid;
	return findings;
}

bool
crd_findings_cross(const CrdFindings *findings, int step)
{
	int			version = findings->schema->version;

	return findings->target < version ? step <= version && step > findings->target :
		step > version && step <= findings->target;
}

CrdCensus *
crd_findings_census(CrdFindings *findings)
{
	if (findings->census == NULL)
		findings->census =
			crd_census(findings->schema,
					   findings->to_plan && findings->target == CRD_LAST_STEP &&
					   !crd_ids_filled(findings->schema));
	return findings->census;
}

List *
crd_findings_dictionary(CrdFindings *findings)
{
	if (findings->dictionary == NIL)
		findings->dictionary =
			crd_dictionary(findings->schema,
						   crd_ids_filled(findings->schema) ?
						   NULL : crd_findings_census(findings));
	return findings->dictionary;
}

CrdWayBack *
crd_findings_way_back(CrdFindings *findings)
{
	if (findings->way_back == NULL)
		findings->way_back = crd_way_back(findings->schema,
										  findings->keepsake);
	return findings->way_back;
}

CrdWayBackCounts *
crd_findings_way_back_counts(CrdFindings *findings)
{
	if (findings->way_back_counts == NULL)
		findings->way_back_counts =
			crd_way_back_counts(findings->schema, crd_findings_way_back(findings));
	return findings->way_back_counts;
}

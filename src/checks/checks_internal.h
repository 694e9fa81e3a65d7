/*-------------------------------------------------------------------------
 *
 * checks_internal.h
 *	  The check functions, by file.
 *
 * A check adds a row to the report for each finding.  It only reads, so that it
 * also runs on a standby, and it raises no error for invalid data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_CHECKS_INTERNAL_H
#define CRD_CHECKS_INTERNAL_H

#include "checks/report.h"

/* in check_tables.c */
extern void crd_check_tables(CrdReport *report);
extern void crd_check_table_kinds(CrdReport *report);
extern void crd_check_version(CrdReport *report);
extern void crd_check_ownership(CrdReport *report);
extern void crd_check_column_types(CrdReport *report);
extern void crd_check_primary_key(CrdReport *report);
extern void crd_check_foreign_key(CrdReport *report);
extern void crd_check_new_column_types(CrdReport *report);
extern void crd_verify_foreign_key(CrdReport *report);
extern void crd_verify_index(CrdReport *report);

/* in check_dependents.c */
extern void crd_check_dependent_objects(CrdReport *report);
extern void crd_check_function_bodies(CrdReport *report);
extern void crd_check_name_conflicts(CrdReport *report);

/* in check_data.c */
extern void crd_check_available_connections(CrdReport *report);
extern void crd_check_mapping(CrdReport *report);
extern void crd_verify_display_names(CrdReport *report);

/* in check_rollback.c */
extern void crd_check_rollback_rows(CrdReport *report);
extern void crd_check_rollback_constraints(CrdReport *report);

/* in check_environment.c */
extern void crd_check_citus(CrdReport *report);
extern void crd_check_row_level_security(CrdReport *report);
extern void crd_check_isolation(CrdReport *report);
extern void crd_check_statement_timeout(CrdReport *report);
extern void crd_check_publications(CrdReport *report);
extern void crd_check_locks(CrdReport *report);
extern void crd_check_old_snapshots(CrdReport *report);
extern void crd_check_disk_space(CrdReport *report);

#endif							/* CRD_CHECKS_INTERNAL_H */

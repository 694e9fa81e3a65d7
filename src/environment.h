/*-------------------------------------------------------------------------
 *
 * environment.h
 *	  Checks of what is around the tables: other sessions, the server, the disk.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_ENVIRONMENT_H
#define CRD_ENVIRONMENT_H

#include "report.h"

extern void crd_check_citus(CrdReport *report);
extern void crd_check_row_security(CrdReport *report);
extern void crd_check_isolation(CrdReport *report);
extern void crd_check_statement_timeout(CrdReport *report);
extern void crd_check_publications(CrdReport *report);
extern void crd_check_locks(CrdReport *report);
extern void crd_check_snapshots(CrdReport *report);
extern void crd_check_disk(CrdReport *report);

#endif							/* CRD_ENVIRONMENT_H */

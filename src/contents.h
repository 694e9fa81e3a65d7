/*-------------------------------------------------------------------------
 *
 * contents.h
 *	  Checks of what is in the tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_CONTENTS_H
#define CRD_CONTENTS_H

#include "report.h"

extern void crd_check_catalog(CrdReport *report);
extern void crd_check_mapping(CrdReport *report);
extern void crd_verify_display_names(CrdReport *report);

#endif							/* CRD_CONTENTS_H */

/*-------------------------------------------------------------------------
 *
 * config_capability.h
 *	  The capability that connections.config names, in json and jsonb.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_CONFIG_CAPABILITY_H
#define CRD_CONFIG_CAPABILITY_H

/* The same in C: palloc'd, or NULL. */
extern char *crd_capability(Oid config_type, Datum config);

/*
 * config with that capability set, as the rollback's SQL sets it; a NULL config
 * becomes an object.  False where config is something else than an object.
 */
extern bool crd_with_capability(Oid config_type, Datum config, bool isnull,
								const char *capability, Datum *result);

#endif							/* CRD_CONFIG_CAPABILITY_H */

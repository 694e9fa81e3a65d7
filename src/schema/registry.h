/*-------------------------------------------------------------------------
 *
 * registry.h
 *	  The built-in entries.
 *
 * The mapping, the sync triggers, the seed and the checks are all derived from
 * this one table.  A sixth provider is one new row in registry.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CRD_REGISTRY_H
#define CRD_REGISTRY_H

typedef struct CrdRegistryEntry
{
	const char *slug;			/* also the legacy name */
	const char *provider;		/* legacy connections.provider */
	const char *capability;		/* config ->> 'capability', or NULL */
	const char *auth_type;
	const char *display_name;
	const char *icon;
	const char *cover;
	const char *description;
} CrdRegistryEntry;

/* Ordered by slug; the last element has no slug. */
extern const CrdRegistryEntry crd_registry[];

/* The entry with that slug, or NULL. */
extern const CrdRegistryEntry *crd_registry_find(const char *slug);

/* Whether a provider has entries that differ by capability. */
extern bool crd_provider_needs_capability(const char *provider);

/* The quoted slugs, "calendar, gmail, ...", for messages. */
extern char *crd_registry_slugs(void);

#endif							/* CRD_REGISTRY_H */

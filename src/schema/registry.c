/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  The built-in entries, and connections_registry().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"

#include "schema/registry.h"
#include "base/sql_exec.h"

const CrdRegistryEntry crd_registry[] = {
	{
		.slug = "calendar",
		.provider = "google_workspace",
		.capability = "calendar",
		.auth_type = "oauth2",
		.display_name = "Google Calendar",
		.icon = "/icons/google-calendar.svg",
		.cover = "/covers/google-calendar.png",
		.description = "Read and create events in Google Calendar."
	},
	{
		.slug = "gmail",
		.provider = "gmail",
		.auth_type = "oauth2",
		.display_name = "Gmail",
		.icon = "/icons/gmail.svg",
		.cover = "/covers/gmail.png",
		.description = "Read and send mail with a Gmail account."
	},
	{
		.slug = "sheets",
		.provider = "google_workspace",
		.capability = "sheets",
		.auth_type = "oauth2",
		.display_name = "Google Sheets",
		.icon = "/icons/google-sheets.svg",
		.cover = "/covers/google-sheets.png",
		.description = "Read and write rows in Google Sheets."
	},
	{
		.slug = "smtp",
		.provider = "smtp",
		.auth_type = "basic",
		.display_name = "SMTP",
		.icon = "/icons/smtp.svg",
		.cover = "/covers/smtp.png",
		.description = "Send mail through an SMTP server."
	},
	{
		.slug = "telegram",
		.provider = "telegram",
		.auth_type = "bot_token",
		.display_name = "Telegram",
		.icon = "/icons/telegram.svg",
		.cover = "/covers/telegram.png",
		.description = "Send messages with a Telegram bot."
	},
	{0}
};

PG_FUNCTION_INFO_V1(connections_registry);

const CrdRegistryEntry *
crd_registry_find(const char *slug)
{
	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
		if (strcmp(entry->slug, slug) == 0)
			return entry;
	return NULL;
}

bool
crd_provider_needs_capability(const char *provider)
{
	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
		if (entry->capability && strcmp(entry->provider, provider) == 0)
			return true;
	return false;
}

char *
crd_registry_slugs(void)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
		appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", entry->slug);
	return buf.data;
}

/*
 * connections_registry() returns the table above.
 */
Datum
connections_registry(PG_FUNCTION_ARGS)
{
	CrdResultSet *set = crd_srf_open(fcinfo);

	for (const CrdRegistryEntry *entry = crd_registry; entry->slug; entry++)
	{
		const char *values[] = {
			entry->slug, entry->provider, entry->capability,
			entry->auth_type, entry->display_name, entry->icon,
			entry->cover, entry->description
		};

		crd_srf_put_row(set, values);
	}
	return (Datum) 0;
}

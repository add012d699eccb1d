/*
 * sipwarden: log lines; the text is never used as a format.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shim.h"

void sw_log(enum sw_log_level level, struct sw_text line)
{
	int len = (int)line.len;

	switch(level) {
		case SW_LOG_CRITICAL:
			LM_CRIT("%.*s\n", len, line.s);
			break;
		case SW_LOG_ERROR:
			LM_ERR("%.*s\n", len, line.s);
			break;
		case SW_LOG_WARNING:
			LM_WARN("%.*s\n", len, line.s);
			break;
		case SW_LOG_NOTICE:
			LM_NOTICE("%.*s\n", len, line.s);
			break;
		case SW_LOG_INFO:
			LM_INFO("%.*s\n", len, line.s);
			break;
		case SW_LOG_DEBUG:
			LM_DBG("%.*s\n", len, line.s);
			break;
	}
}

int sw_log_enabled(enum sw_log_level level)
{
	static const int levels[] = {L_CRIT, L_ERR, L_WARN, L_NOTICE, L_INFO, L_DBG};

	return is_printable(levels[level]);
}

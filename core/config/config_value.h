/* config/config_value.h - one value: from the text in the file to what it means, with a message that teaches.
 * at: whose place messages name and whose file relative paths start from.  All return 0, -EINVAL with words, or -ENOMEM. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "core/config/config_load.h"

int config_value_integer(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                         int64_t *ret_value);
int config_value_bool(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                      bool *ret_value);

/* config_value_choice - which of rule->choices text is, from 0. */
int config_value_choice(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                        uint32_t *ret_index);
/* config_value_url - rule of kind CONFIG_URL or CONFIG_PROXY; text may be "", and "env" for a proxy. */
int config_value_url(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text);
int config_value_path(struct config_load *load, const struct config_node *at, const char *text, char **ret_path);

/* config_value_listen - "1.2.3.4:80", "[::1]:80", "unix:/path". */
int config_value_listen(struct config_load *load, const struct config_node *at, const char *text,
                        struct config_listen *ret_listen);

/* config_value_secret - what "env:NAME" or "file:PATH" stands for (a trailing line end dropped), or the text itself where a
 * literal is allowed.  An unset variable gives "" and *ret_unset. */
int config_value_secret(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                        bool literal, char **ret_secret, bool *ret_unset);

#define CONFIG_SECRET_MAX 65536u /* bytes of a secret file */
#define CONFIG_KEY_SHORT 8u      /* client keys below this many bytes earn a warning */

#endif

#pragma once

#include <cstdlib>
#include <string>

/// The user's own cache of tokens, as the XDG base directories name it; empty when there is no
/// home.
inline std::string user_token_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/distill/tokens";
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? std::string(home) + "/.cache/distill/tokens" : "";
}

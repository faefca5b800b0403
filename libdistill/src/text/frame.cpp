#include <distill/text/frame.h>

#include <algorithm>

namespace distill::text {

TextFrame text_frame(const Tokenizer& tokenizer) {
  const TokenIds plain = tokenizer.encode("a", /*add_special=*/false);
  const TokenIds whole = tokenizer.encode("a", /*add_special=*/true);
  const auto found = std::ranges::search(whole, plain);
  return {{whole.begin(), found.begin()}, {found.end(), whole.end()}};
}

}  // namespace distill::text

#include <distill/models/quantization.h>

#include <iomanip>

#include <distill/core/byte_size.h>
#include <distill/core/strings.h>

namespace distill::models {

double Quantization::bits_per_weight() const {
  return weights > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0.0;
}

std::string describe(const Quantization& q) {
  return core::concat(std::fixed, std::setprecision(2), core::with_thousands(q.weights),
                      " weights in ", ops::name_of(q.format), " of ", q.bits_per_weight(),
                      " bits, ", core::human_bytes(q.bytes), " instead of ",
                      core::human_bytes(q.dense_bytes), "; relative error ", 100 * q.error,
                      " %, at most ", 100 * q.worst_error, " % (`", core::printable(q.worst), "`)");
}

}  // namespace distill::models

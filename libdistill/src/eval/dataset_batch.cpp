#include "eval/dataset_batch.h"

#include <vector>

#include <distill/data/make_batch.h>

namespace distill::eval {

types::Batch batch_of(const data::Dataset& dataset, std::int64_t begin, std::int64_t end,
                      at::Device device) {
  std::vector<data::Row> rows;
  for (std::int64_t i = begin; i < end; ++i) rows.push_back(dataset.row(i));
  types::Batch batch = data::make_batch(rows);
  batch.vocabulary = dataset.vocabulary();
  return types::moved_to(batch, device);
}

}  // namespace distill::eval

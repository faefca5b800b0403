#pragma once

/// All of the data layer: options, rows in memory, batches, the endless stream.
#include <distill/data/batch_stream.h>
#include <distill/data/dataset.h>
#include <distill/data/make_batch.h>
#include <distill/data/options.h>

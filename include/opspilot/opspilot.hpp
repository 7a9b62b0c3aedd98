/// \file
/// opspilot: what should happen next, may a machine do it alone, or must a person?
///
///     #include <opspilot/opspilot.hpp>
///
///     auto bundle = opspilot::bundle::load(bytes);         // checked, compiled, golden rows re-scored
///     if (!bundle) return report(bundle.error().text());
///     opspilot::engine engine(*bundle);                    // shared by all threads
///     opspilot::workspace scratch;                         // one per thread
///     opspilot::decision d;                                // reused: no allocation once warm
///     auto done = engine.decide(R"({"id": "T-1", "text": "refund please"})", {}, now_us, scratch, d);
///     if (done && d.verdict == opspilot::verdict::auto_execute) execute(d.action);
#pragma once

#include "opspilot/audit/log.hpp"
#include "opspilot/audit/outcome.hpp"
#include "opspilot/audit/record.hpp"
#include "opspilot/base/hash.hpp"
#include "opspilot/base/math.hpp"
#include "opspilot/base/result.hpp"
#include "opspilot/base/text.hpp"
#include "opspilot/calibrate/bounded.hpp"
#include "opspilot/calibrate/calibration_error.hpp"
#include "opspilot/calibrate/calibrator.hpp"
#include "opspilot/calibrate/certificate.hpp"
#include "opspilot/calibrate/choose.hpp"
#include "opspilot/calibrate/conformal.hpp"
#include "opspilot/calibrate/costs.hpp"
#include "opspilot/calibrate/criteria.hpp"
#include "opspilot/calibrate/grid_threshold.hpp"
#include "opspilot/calibrate/label_noise.hpp"
#include "opspilot/calibrate/label_plan.hpp"
#include "opspilot/calibrate/ladder.hpp"
#include "opspilot/calibrate/platt.hpp"
#include "opspilot/calibrate/rate_process.hpp"
#include "opspilot/calibrate/recall.hpp"
#include "opspilot/calibrate/threshold.hpp"
#include "opspilot/data/arrow.hpp"
#include "opspilot/data/frame.hpp"
#include "opspilot/data/row_json.hpp"
#include "opspilot/data/schema.hpp"
#include "opspilot/data/table.hpp"
#include "opspilot/decide/bundle.hpp"
#include "opspilot/decide/container.hpp"
#include "opspilot/decide/decision.hpp"
#include "opspilot/decide/documents.hpp"
#include "opspilot/decide/engine.hpp"
#include "opspilot/evaluate/gap_alarm.hpp"
#include "opspilot/evaluate/ranking.hpp"
#include "opspilot/features/plan.hpp"
#include "opspilot/features/text.hpp"
#include "opspilot/learn/choice.hpp"
#include "opspilot/learn/linear.hpp"
#include "opspilot/learn/text_classifier.hpp"
#include "opspilot/policy/diff.hpp"
#include "opspilot/policy/format.hpp"
#include "opspilot/policy/policy.hpp"
#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/choice_model.hpp"
#include "opspilot/rank/generator.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/linear.hpp"
#include "opspilot/rank/pipeline.hpp"
#include "opspilot/rank/text_classifier.hpp"
#include "opspilot/rank/tree_file.hpp"
#include "opspilot/rank/tree_formats.hpp"
#include "opspilot/rank/tree_scorer.hpp"
#include "opspilot/rank/trees.hpp"
#include "opspilot/rank/xgboost.hpp"

#include "base/event_file.h"

#include <cstring>
#include <filesystem>
#include <limits>

#include "absl/strings/escaping.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "proto/tensorboard_event.pb.h"

namespace manyform {
namespace {

// The events of a file; its checksums were made by EventRecord, whose own test has known bytes.
std::vector<TensorboardEvent> EventsOf(const std::string& path) {
  const std::string file = ReadFile(path).value();
  std::vector<TensorboardEvent> events;
  for (size_t at = 0; at < file.size();) {
    uint64_t size = 0;
    memcpy(&size, file.data() + at, sizeof(size));
    const std::string record = file.substr(at, size + 16), bytes = record.substr(12, size);
    EXPECT_EQ(record, EventRecord(bytes));
    EXPECT_TRUE(events.emplace_back().ParseFromString(bytes));
    at += size + 16;
  }
  return events;
}

class EventFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/events_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  std::string folder_;
};

TEST_F(EventFileTest, RecordsAndEventsHaveTheKnownBytes) {
  // What every event file of TensorBoard's own writer begins with, the time being 0 here: an event of the
  // double 0 in field 1 and the string brain.Event:2 in field 3; checksums as its reader wants them.
  TensorboardEvent event;
  event.set_wall_time(0);
  event.set_file_version("brain.Event:2");
  const std::string bytes = event.SerializeAsString();
  EXPECT_EQ(absl::BytesToHexString(bytes), "0900000000000000001a0d627261696e2e4576656e743a32");
  EXPECT_EQ(absl::BytesToHexString(EventRecord(bytes)),
            "1800000000000000a37f4b22"
            "0900000000000000001a0d627261696e2e4576656e743a32"
            "eedf28a3");
  event = {};
  event.set_step(300);
  event.mutable_session_log()->set_status(EventSession::START);
  EventScalar& scalar = *event.mutable_summary()->add_value();
  scalar.set_tag("loss");
  scalar.set_simple_value(0.5f);
  EXPECT_EQ(absl::BytesToHexString(event.SerializeAsString()),
            "10ac02"
            "2a0d0a0b0a046c6f737315"
            "0000003f"
            "3a020801");
}

TEST_F(EventFileTest, AFileSaysFromWhichStepItCounts) {
  EventFileWriter writer(folder_, 7);
  EXPECT_TRUE(ListDirectory(folder_)->empty());
  const double inf = std::numeric_limits<double>::infinity();
  ASSERT_TRUE(writer.Add(7, {{"loss", 0.25}, {"lr", inf}}).ok());
  ASSERT_TRUE(writer.Add(8, {{"loss", 0.125}}).ok());
  const std::vector<std::string> names = ListDirectory(folder_).value();
  ASSERT_EQ(names.size(), 1u);
  EXPECT_TRUE(names[0].starts_with("events.out.tfevents.1") || names[0].starts_with("events.out.tfevents.2"))
      << names[0];
  const std::vector<TensorboardEvent> events = EventsOf(JoinPath(folder_, names[0]));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].step(), 7);
  EXPECT_EQ(events[1].session_log().status(), EventSession::START);
  EXPECT_EQ(events[2].step(), 7);
  ASSERT_EQ(events[2].summary().value_size(), 2);
  EXPECT_EQ(events[2].summary().value(0).tag(), "loss");
  EXPECT_EQ(events[2].summary().value(0).simple_value(), 0.25f);
  EXPECT_EQ(events[2].summary().value(1).simple_value(), inf);
  EXPECT_EQ(events[3].summary().value(0).simple_value(), 0.125f);
  EXPECT_GT(events[3].wall_time(), 1.7e9);
}

TEST_F(EventFileTest, LaterFilesSortAfterEarlierOnes) {
  // One from the future too: clocks of hosts differ.
  ASSERT_TRUE(WriteFileAtomically(JoinPath(folder_, "events.out.tfevents.9000000000.zzz.1"), "").ok());
  for (int run = 0; run < 3; ++run) {
    const std::vector<std::string> before = ListDirectory(folder_).value();
    EventFileWriter writer(folder_, run);
    ASSERT_TRUE(writer.Add(run, {{"loss", 1}}).ok());
    const std::vector<std::string> after = ListDirectory(folder_).value();
    ASSERT_EQ(after.size(), before.size() + 1);
    EXPECT_GT(after.back(), before.back());
  }
}

TEST_F(EventFileTest, AFolderThatIsNotThereIsAnError) {
  EventFileWriter writer(folder_ + "/nowhere", 0);
  EXPECT_FALSE(writer.Add(1, {{"loss", 1}}).ok());
}

}  // namespace
}  // namespace manyform

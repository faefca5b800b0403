#include <distill/core/paths.h>

#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/temp_folder.h"

namespace distill::core {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::TempFolder;

TEST(Paths, WhatIsThere) {
  const TempFolder folder;
  std::ofstream(folder / "file") << "x";
  fs::create_symlink("file", folder / "link");
  fs::create_symlink("nothing", folder / "dangling");
  EXPECT_TRUE(path_exists(folder.path()));
  EXPECT_TRUE(path_exists(folder / "link"));
  EXPECT_FALSE(path_exists(folder / "none"));
  EXPECT_FALSE(path_exists(folder / "dangling"));
  EXPECT_FALSE(path_exists(folder / "file/below"));
  EXPECT_TRUE(is_folder(folder.path()));
  EXPECT_FALSE(is_folder(folder / "file"));
  EXPECT_TRUE(is_same_path(folder / "file", folder / "link"));
  EXPECT_FALSE(is_same_path(folder / "file", folder.path()));
  EXPECT_FALSE(is_same_path(folder / "file", folder / "none"));
  EXPECT_EQ(list_folder(folder.path()),
            (std::vector<fs::path>{folder / "dangling", folder / "file", folder / "link"}));
}

TEST(Paths, WhatCannotBeLookedAtIsAnInputError) {
  const TempFolder folder;
  fs::create_symlink("loop", folder / "loop");
  const fs::path longest = folder / std::string(300, 'x');
  for (const fs::path& path : {longest, fs::path(folder / "loop")}) {
    EXPECT_NE(message_of<InputError>([&] { path_exists(path); }).find("could not look at it"),
              std::string::npos);
    EXPECT_THROW(is_folder(path), InputError);
    EXPECT_THROW(is_same_path(path, folder.path()), InputError);
    EXPECT_THROW(list_folder(path), InputError);
  }
}

TEST(Paths, ControlCharactersAreShownAsText) {
  EXPECT_EQ(without_controls("a\nb\x1b[1m\x7f"), "a\\x0ab\\x1b[1m\\x7f");
  EXPECT_EQ(without_controls("\xc2\x9b[1m"), "\\xc2\x9b[1m");  // CSI in one character
  EXPECT_EQ(without_controls("Gr\xc3\xbcn \xe2\x82\xac"), "Gr\xc3\xbcn \xe2\x82\xac");
  EXPECT_EQ(without_controls(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(shown("a/b\r"), "a/b\\x0d");
  EXPECT_EQ(shown(std::string(5000, 'x')).size(), 400u);
}

}  // namespace
}  // namespace distill::core

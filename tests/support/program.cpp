#include "support/program.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/temp_folder.h"

namespace distill::testing {

namespace {

std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

[[noreturn]] void become(const std::vector<std::string>& arguments, const ProgramOptions& options,
                         const TempFolder& files) {
  const auto redirect = [](const std::filesystem::path& path, int flags, int target) {
    const int file = ::open(path.c_str(), flags, 0600);
    if (file < 0 || ::dup2(file, target) < 0) ::_exit(126);
  };
  redirect(files / "in", O_RDONLY, STDIN_FILENO);
  redirect(files / "out", O_WRONLY | O_CREAT, STDOUT_FILENO);
  redirect(files / "err", O_WRONLY | O_CREAT, STDERR_FILENO);
  for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments,
                          const ProgramOptions& options) {
  const TempFolder files;
  std::ofstream(files / "in", std::ios::binary) << options.input;
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become(arguments, options, files);

  int status = 0;
  const auto began = std::chrono::steady_clock::now();
  while (true) {
    const pid_t ended = ::waitpid(child, &status, options.signal ? WNOHANG : 0);
    if (ended == child) break;
    const auto elapsed = std::chrono::steady_clock::now() - began;
    if (const int number =
            options.signal(std::chrono::duration_cast<std::chrono::milliseconds>(elapsed))) {
      ::kill(child, number);
    }
    ::usleep(2000);
  }
  ProgramResult result;
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.out = read_all(files / "out");
  result.err = read_all(files / "err");
  return result;
}

}  // namespace distill::testing

#include <distill/io/http.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <curl/curl.h>

#include <distill/core/strings.h>

namespace distill::io {

namespace {

constexpr std::size_t kMaxHeaderBytes = 256 << 10;
constexpr std::size_t kMaxHeaderValue = 1000;

void start_curl() {
  // Once in a process, before the first handle.
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) fail<Error>("libcurl could not be started: ", curl_easy_strerror(code));
}

/// What arrives, and what was wrong with it.
struct Arrival {
  HttpResponse response;
  std::uint64_t max_body_bytes = 0;
  std::size_t header_bytes = 0;
  bool too_large = false;
  const std::function<bool()>* cancelled = nullptr;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

bool is_header(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' &&
         std::ranges::equal(line.substr(0, name.size()), name, [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b;
         });
}

// The functions below are called by C code: they must not throw.

std::size_t on_body(char* data, std::size_t, std::size_t count, void* user) noexcept {
  auto& arrival = *static_cast<Arrival*>(user);
  std::string& body = arrival.response.body;
  if (count > arrival.max_body_bytes - body.size()) {
    arrival.too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  try {
    body.append(data, count);
  } catch (const std::bad_alloc&) {
    arrival.too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  return count;
}

std::size_t on_header(char* data, std::size_t, std::size_t count, void* user) noexcept {
  auto& arrival = *static_cast<Arrival*>(user);
  arrival.header_bytes += count;
  if (arrival.header_bytes > kMaxHeaderBytes) {
    arrival.too_large = true;
    return 0;
  }
  const std::string_view line(data, count);
  if (line.starts_with("HTTP/")) {  // of an interim answer, or of the last one
    arrival.response.retry_after.clear();
    arrival.response.location.clear();
  }
  const auto keep = [&](std::string_view name, std::string& value) {
    if (!is_header(line, name)) return;
    value = trimmed(line.substr(name.size() + 1)).substr(0, kMaxHeaderValue);
  };
  try {
    keep("retry-after", arrival.response.retry_after);
    keep("location", arrival.response.location);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return count;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  const auto& arrival = *static_cast<const Arrival*>(user);
  try {
    return (*arrival.cancelled)() ? 1 : 0;
  } catch (...) {
    return 1;
  }
}

HttpFailure failure_of(CURLcode code, const Arrival& arrival) {
  if (arrival.too_large) return HttpFailure::kTooLarge;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return HttpFailure::kUnresolved;
    case CURLE_COULDNT_CONNECT:
      return HttpFailure::kRefused;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFailure::kTimeout;
    case CURLE_FILESIZE_EXCEEDED:
      return HttpFailure::kTooLarge;
    case CURLE_ABORTED_BY_CALLBACK:
      return HttpFailure::kCancelled;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
      return HttpFailure::kBroken;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return HttpFailure::kTls;
    default:
      return HttpFailure::kNotHttp;
  }
}

/// `limit`: of the answer, in bytes.
std::string what_of(HttpFailure failure, const HttpOptions& options, std::uint64_t limit) {
  switch (failure) {
    case HttpFailure::kUnresolved:
      return "no such host";
    case HttpFailure::kRefused:
      return "could not connect; is the server running?";
    case HttpFailure::kTimeout:
      return core::concat("no whole answer in time (", options.connect_seconds, " s to connect, ",
                          options.total_seconds, " s in all)");
    case HttpFailure::kBroken:
      return "the connection broke off";
    case HttpFailure::kTls:
      return "no trusted TLS connection";
    case HttpFailure::kTooLarge:
      return core::concat("the answer is larger than ", core::human_bytes(limit));
    case HttpFailure::kNotHttp:
      return "the answer is not HTTP";
    case HttpFailure::kCancelled:
      return "stopped while waiting for the answer";
  }
  return "";
}

/// Seconds as libcurl wants them, which takes 0 for `for ever`.
long milliseconds(double seconds) {
  return static_cast<long>(std::clamp(std::ceil(seconds * 1000), 1.0, 1e9));
}

struct HeaderList {
  ~HeaderList() { curl_slist_free_all(list); }
  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list = longer;
  }
  curl_slist* list = nullptr;
};

void check_header(const HttpHeader& header) {
  const auto is_plain = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  if (header.name.empty() || !std::ranges::all_of(header.name, is_plain) ||
      !std::ranges::all_of(header.value, is_plain)) {
    fail<InputError>("the value for the HTTP header `", core::printable(header.name),
                     "` holds a line break or another control character");
  }
}

}  // namespace

struct HttpConnection::Impl {
  explicit Impl(HttpOptions given) : options(std::move(given)) {
    start_curl();
    handle = curl_easy_init();
    if (handle == nullptr) fail<Error>("libcurl gave no handle");
  }
  ~Impl() { curl_easy_cleanup(handle); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  template <class T>
  void set(CURLoption option, T value) {
    const CURLcode code = curl_easy_setopt(handle, option, value);
    if (code != CURLE_OK) fail<Error>("libcurl refused an option: ", curl_easy_strerror(code));
  }

  void set_rules(std::uint64_t max_body_bytes) {
    set(CURLOPT_NOSIGNAL, 1L);  // threads
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_PROXY, "");  // else the environment names one
    set(CURLOPT_TCP_NODELAY, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_seconds));
    set(CURLOPT_TIMEOUT_MS, milliseconds(options.total_seconds));
    set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(max_body_bytes));
  }

  void set_arrival(Arrival& arrival) {
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&arrival));
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&arrival));
    if (!options.cancelled) return;
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&arrival));
  }

  HttpOptions options;
  CURL* handle = nullptr;
  std::int64_t num_opened = 0;
};

std::int64_t HttpConnection::num_opened() const {
  return impl_->num_opened;
}

HttpConnection::HttpConnection(HttpOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpConnection::~HttpConnection() = default;
HttpConnection::HttpConnection(HttpConnection&&) noexcept = default;
HttpConnection& HttpConnection::operator=(HttpConnection&&) noexcept = default;

HttpResponse HttpConnection::send(const HttpRequest& request) {
  check_http_url(request.url);
  Impl& impl = *impl_;
  Arrival arrival;
  arrival.max_body_bytes = request.max_body_bytes.value_or(impl.options.max_body_bytes);
  arrival.cancelled = &impl.options.cancelled;
  HeaderList headers;
  headers.add("Expect:");  // do not ask before sending
  for (const auto& header : request.headers) {
    check_header(header);
    headers.add(core::concat(header.name, ": ", header.value));
  }
  curl_easy_reset(impl.handle);  // keeps the connection
  impl.set_rules(arrival.max_body_bytes);
  impl.set_arrival(arrival);
  impl.set(CURLOPT_URL, request.url.c_str());
  impl.set(CURLOPT_HTTPHEADER, headers.list);
  if (request.post) {
    impl.set(CURLOPT_POST, 1L);
    impl.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    impl.set(CURLOPT_POSTFIELDS, request.body.c_str());
  }
  std::array<char, CURL_ERROR_SIZE> detail{};
  impl.set(CURLOPT_ERRORBUFFER, detail.data());
  const CURLcode code = curl_easy_perform(impl.handle);
  curl_easy_setopt(impl.handle, CURLOPT_ERRORBUFFER, nullptr);
  long opened = 0;
  curl_easy_getinfo(impl.handle, CURLINFO_NUM_CONNECTS, &opened);
  impl.num_opened += opened;
  if (code != CURLE_OK) {
    const HttpFailure failure = failure_of(code, arrival);
    const std::string cause = detail[0] != '\0' ? detail.data() : curl_easy_strerror(code);
    throw HttpError(failure, core::concat(request.url, ": ",
                                          what_of(failure, impl.options, arrival.max_body_bytes),
                                          " (", core::printable(cause, 120), ")"));
  }
  long status = 0;
  curl_easy_getinfo(impl.handle, CURLINFO_RESPONSE_CODE, &status);
  arrival.response.status = static_cast<int>(status);
  return std::move(arrival.response);
}

}  // namespace distill::io
